// A page with many modules: how fast it is there, sorting by pointer and keyboard, filtering, and the way to it all.

import { play, told } from "./stage.mjs";

const names = (page) =>
  page.$$eval("#module-table tbody tr:not([hidden])", (rows) => rows.map((row) => row.dataset.name));
const order = (page) =>
  page.$$eval("#module-table thead th", (cells) => cells.map((cell) => cell.getAttribute("aria-sort")));
const heading = (page, name) => page.getByRole("columnheader", { name }).getByRole("button");

await play(async (page) => {
  const loads = []; // several: the machine may be busy with something else at one of them
  for (let time = 0; time < 3; time += 1) {
    await page.goto(told.url, { waitUntil: "load" });
    loads.push(await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventStart));
  }
  const result = { loads, listed: await names(page) };

  await page.keyboard.press("Tab");
  result.firstStop = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("Enter");
  result.skippedTo = await page.evaluate(() => document.activeElement.id || location.hash);

  await heading(page, "Size").click();
  result.bySize = await names(page);
  result.order = await order(page);
  await heading(page, "Size").focus();
  await page.keyboard.press("Enter");
  result.bySizeFalling = await names(page);
  result.orderFalling = await order(page);
  await heading(page, "Module").click();
  result.byName = await names(page);

  await page.getByLabel("Filter").fill("00019 unsigned");
  result.nothing = await names(page);
  await page.getByLabel("Filter").fill("module_0001");
  result.filtered = await names(page);
  result.said = await page.locator("#matches").textContent();
  await page.getByLabel("only tainting or not signed").check();
  result.suspicious = await names(page);
  await page.getByLabel("Filter").fill("");
  result.allSuspicious = await names(page);
  return result;
});
