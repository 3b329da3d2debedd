// Names that want to be more than names: they are shown, run nothing and break no layout, wide or narrow.

import { play, told, wider } from "./stage.mjs";

await play(async (page) => {
  const result = { wider: [] };
  await page.addInitScript(() => {
    window.alert = () => (window.ran = true);
  });
  for (const width of [1600, 1280, 1160, 1000, 700, 360]) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(told.url, { waitUntil: "load" });
    await page.getByText("Live", { exact: true }).waitFor();
    result.wider.push(...(await wider(page)));
  }
  result.wider = [...new Set(result.wider)];
  result.ran = await page.evaluate(() => window.ran === true);
  result.scripts = await page.locator("script").count();
  result.names = await page.$$eval("#module-table tbody th a", (links) => links.map((link) => link.textContent));
  await page.setViewportSize({ width: 1280, height: 800 });
  const answers = [];
  for (const href of await page.$$eval("#module-table tbody th a", (links) => links.map((link) => link.href))) {
    const answer = await page.request.get(href);
    answers.push(answer.ok() ? (await answer.json()).name : String(answer.status()));
  }
  result.answers = answers;
  return result;
});
