// Walks the story in a real browser. tests/it/browser.rs starts everything, hands over the letters on standard input, and
// reads what was walked and what was wrong from standard output: {"steps": [...], "looks": N, "faults": [...]}.
// With "shots": FOLDER it also takes pictures, for people to look at.

import { text } from 'node:stream/consumers';

import { Eyes } from './look.mjs';
import { demo } from './demo.mjs';
import { detours } from './detours.mjs';
import { embedded } from './embedded.mjs';
import { hosted } from './hosted.mjs';
import { letters } from './letters.mjs';
import { lighthouse } from './lighthouse.mjs';
import { ended, repaired, scanner } from './links.mjs';
import { pages } from './pages.mjs';
import { paper } from './paper.mjs';

const stories = { demo, detours, embedded, ended, hosted, letters, lighthouse, pages, paper, repaired, scanner };
const given = JSON.parse(await text(process.stdin));
const eyes = await Eyes.open(given.tools, given.shots);
try {
  await stories[given.story](eyes, given);
} finally {
  await eyes.close();
}
const { steps, looks, faults } = eyes;
console.log(JSON.stringify({ steps, looks, faults }));
