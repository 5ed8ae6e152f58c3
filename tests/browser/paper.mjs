// Every kind of letter in every language, by day and by night, on a phone: no fault of accessibility, nothing cut off, nothing
// asked of anybody. The letters are written into one page each after the other, which is what makes hundreds of them quick.

const PHONE = { width: 320, height: 700 };
// What a phone leaves at the largest letters; long words have to break.
const NARROW = { width: 240, height: 700 };

export async function paper(eyes, { letters }) {
  const device = await eyes.device({ script: true });
  const page = await device.newPage();
  await page.setViewportSize(PHONE);
  for (const { name, html } of letters) {
    await eyes.walk(name, async () => {
      await page.setContent(html, { waitUntil: 'load' });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await eyes.accessible(page, `${name}, ${colorScheme}`);
        eyes.looks += 1;
      }
      for (const viewport of [PHONE, NARROW]) {
        await page.setViewportSize(viewport);
        await eyes.fits(page, `${name}, ${viewport.width} px`);
      }
      await page.setViewportSize(PHONE);
    });
  }
  await eyes.walk('without CSS', async () => {
    for (const { name, html } of letters) {
      await page.setContent(html.replace(/<style>.*?<\/style>/s, '').replaceAll(/ style="[^"]*"/g, ''));
      // The reader still meets the heading, the text and the button in this order.
      const order = await page.locator('h1, p, a').evaluateAll((all) => all.map((one) => one.tagName));
      eyes.check(order.indexOf('H1') < order.lastIndexOf('P') && order.includes('A'), `${name} loses its order`);
    }
  });
  await device.close();
}
