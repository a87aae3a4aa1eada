// Every hosted page in Chromium, on a phone and a desktop, in light and dark:
// it fits, it needs no script, its policy is kept, and keyboards and screen
// readers find their way. artifacts/pages/ has a picture of each.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, picture } from "./harness/browser.js";
import { accessible, complaints, contrasting, narrow, sound, startGallery, tabbable } from "./harness/gallery.js";

let gallery, browser;
before(async () => {
  [gallery, browser] = await Promise.all([startGallery(), launch()]);
});
after(() => Promise.all([gallery?.stop(), browser?.close()]));

const phone = { width: 390, height: 844 };
const desktop = { width: 1280, height: 800 };
const views = [
  { name: "phone-light", viewport: phone, colorScheme: "light", isMobile: true, hasTouch: true, checks: [accessible] },
  { name: "phone-dark", viewport: phone, colorScheme: "dark", isMobile: true, hasTouch: true, checks: [] },
  { name: "desktop-light", viewport: desktop, colorScheme: "light", checks: [tabbable, narrow] },
  { name: "desktop-dark", viewport: desktop, colorScheme: "dark", checks: [contrasting] },
];

for (const { name, checks, ...options } of views) {
  test(`hosted pages, ${name}`, async (t) => {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(15000);
    try {
      const page = await context.newPage();
      const said = await complaints(page);
      for (const sample of gallery.names) {
        await t.test(sample, async () => {
          said.length = 0;
          await page.goto(`${gallery.origin}/${sample}`);
          await picture(page, `pages/${sample}-${name}.jpg`);
          await sound(page);
          for (const check of checks) await check(page);
          assert.deepEqual(said, []);
        });
      }
    } finally {
      await context.close();
    }
  });
}
