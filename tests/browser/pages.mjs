// Every kind of page in every language, by day and by night, on a phone: no fault of accessibility, nothing wider than
// the window, neither as it comes nor with all that its script may say. The pages are written into one page each after
// the other, which is what makes hundreds of them quick.

const PHONE = { width: 320, height: 700 };
// Of all rules these alone see a difference between day and night.
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];

// Runs in the page: all that a press can bring into sight is there at once, each word of the script on its own line.
function sayAll(words) {
  for (const hidden of document.querySelectorAll('[hidden]')) hidden.hidden = false;
  for (const status of document.querySelectorAll('.status')) {
    for (const said of Object.values(words)) status.append(said, document.createElement('br'));
    const button = document.createElement('button');
    button.textContent = words.hosted;
    status.append(button);
  }
}

const dataOf = (html) => JSON.parse(/id="data">(.*?)<\/script>/s.exec(html)?.[1] ?? null);

export async function pages(eyes, { pages }) {
  const device = await eyes.device({ script: true });
  const page = await device.newPage();
  await page.setViewportSize(PHONE);
  const accessible = async (where) => {
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    await eyes.accessible(page, `${where}, light`);
    await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
    await eyes.accessible(page, `${where}, dark`, OF_COLOURS);
  };
  // The way back has all words of the script; the repair page gets some with the answer to the press.
  const allWords = {};
  for (const { language, html } of pages) {
    const data = dataOf(html);
    if (data?.page === 'back') allWords[language] = data.words;
  }
  for (const { name, language, html, closely } of pages) {
    await eyes.walk(name, async () => {
      await page.setContent(html, { waitUntil: 'load' });
      await eyes.fits(page, name);
      if (closely) await accessible(name);
      const data = dataOf(html);
      if (data) {
        await page.evaluate(sayAll, allWords[language]);
        await eyes.fits(page, `${name}, all said`);
        if (closely && data.page === 'back') await accessible(`${name}, all said`);
      }
      eyes.looks += 1;
    });
  }
  await device.close();
}
