// Letters as a mail program shows them: `letters` is a list of { name, html, text }.

import { createServer } from 'node:http';

/// Serves letters as a mail program in the browser would, and answers its origin and how to stop it.
export async function mailProgram(letters) {
  const server = createServer((request, response) => {
    const letter = letters[Number(request.url.slice(1))];
    response.writeHead(letter ? 200 : 404, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(letter?.html);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: (index) => `http://127.0.0.1:${server.address().port}/${index}`, stop: () => server.close() };
}

export async function letters(eyes, { letters }) {
  const mail = await mailProgram(letters);
  for (const [index, { name, html, text }] of letters.entries()) {
    await eyes.walk(`letter ${name}`, async () => {
      const device = await eyes.device({ expected: [/favicon/, /404 \(Not Found\)/] });
      const page = await device.newPage();
      await page.goto(mail.url(index));
      await eyes.look(page, `letter ${name}`);
      eyes.check(Buffer.byteLength(html) <= 20 * 1024, `the letter has ${Buffer.byteLength(html)} bytes`);
      // Each link of the letter stands alone on a line of its text part too.
      const lines = text.split(/\r?\n/);
      for (const link of await page.locator('a').evaluateAll((links) => links.map((one) => one.href))) {
        eyes.check(lines.includes(link), 'a link of the letter is not in its text part');
      }
      await device.close();
    });
  }
  mail.stop();
}
