// Scripts are off: everything essential is there, and nothing that would not work.

import { play, told, wider } from "./stage.mjs";

await play(
  async (page) => {
    await page.goto(told.url, { waitUntil: "load" });
    const wide = [];
    for (const width of [320, 360, 768, 1000, 1152, 1160, 1920, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      wide.push(...(await wider(page)));
    }
    return {
      text: (await page.locator("body").innerText()).replace(/\s+/g, " "),
      tools: await page.locator("#tools").isVisible(),
      buttons: await page.locator("button").count(),
      rows: await page.locator("#module-table tbody tr").count(),
      wider: wide,
    };
  },
  { javaScriptEnabled: false },
);
