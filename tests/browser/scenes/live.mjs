// A module is loaded while somebody looks: it must be there without a reload, be told to those who listen, and leave
// alone what the reader did to the page.

import { readFileSync, writeFileSync } from "node:fs";
import { play, told } from "./stage.mjs";

const newest = (page) => page.evaluate(() => document.querySelector("#timeline li")?.id);

// What the daemon finds when it starts is told within its first seconds, the unsigned modules that are there among it;
// it must not be mixed up with what comes.
async function settled(page) {
  await page.locator("#findings .cards > li").nth(told.findings - 1).waitFor();
  let before;
  do {
    before = await newest(page);
    await page.waitForTimeout(4000);
  } while ((await newest(page)) !== before);
}

await play(async (page) => {
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    window.look = (away) => {
      hidden = away;
      document.dispatchEvent(new Event("visibilitychange"));
    };
  });
  await page.goto(told.url, { waitUntil: "load" });
  await page.evaluate(() => (window.sameDocument = true));
  await page.getByText("Live", { exact: true }).waitFor();
  await settled(page);
  await page.getByLabel("Filter").fill("module_0000");
  await page.getByRole("columnheader", { name: "Module" }).getByRole("button").click();
  await page.locator("#settings summary, #timeline details summary").first().click();
  const opened = await page.evaluate(() => document.activeElement.closest("details")?.id);

  const list = readFileSync(told.modules, "utf8");
  const began = Date.now();
  writeFileSync(told.modules, `module_00009_late 4096 0 - Live 0x0000000000000000 (OE)\n${list}`);
  const row = page.locator('tr[data-name="module_00009_late"]');
  await row.waitFor({ state: "visible" });
  const said = page.locator("#timeline .say", { hasText: "Module module_00009_late was loaded" }).first();
  await said.waitFor();
  const seconds = (Date.now() - began) / 1000;
  const result = {
    seconds,
    sameDocument: await page.evaluate(() => window.sameDocument === true),
    said: await page.locator(".announcement").textContent(),
    count: await page.locator("#modules > div").first().textContent(),
    fresh: await row.evaluate((one) => one.classList.contains("fresh")),
    shown: await page.$$eval("#module-table tbody tr:not([hidden])", (rows) => rows.map((one) => one.dataset.name)),
    stillOpen: await page.evaluate((id) => document.getElementById(id)?.open === true, opened),
    stillFocused: (await page.evaluate(() => document.activeElement.closest("details")?.id)) === opened,
  };

  writeFileSync(told.modules, list);
  await row.waitFor({ state: "detached" });
  await page.locator("#timeline .say", { hasText: "Module module_00009_late was unloaded" }).first().waitFor();

  await page.evaluate(() => window.look(true));
  await page.waitForTimeout(500); // what was under way comes to its end
  const before = asked.length;
  await page.waitForTimeout(6000);
  result.askedWhileAway = asked.length - before;
  await page.evaluate(() => window.look(false));
  await page.waitForRequest((request) => request.url().includes("api/v1/events"));
  return result;
});
