// What axe-core has against pages: light and dark, wide and narrow, with everything opened.

import { axe, play, told } from "./stage.mjs";

await play(async (page) => {
  const found = [];
  let rules = 0;
  for (const [url, colorScheme, width] of told.visits) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    await page.goto(url, { waitUntil: "load" });
    await page.getByText("Live", { exact: true }).waitFor();
    await page.$$eval("details", (all) => all.forEach((one) => (one.open = true)));
    await page.evaluate(() => document.getAnimations().forEach((one) => one.finish()));
    await page.addScriptTag({ path: axe() });
    const said = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations", "passes"] }));
    rules = Math.max(rules, said.passes.length);
    for (const one of said.violations) {
      const where = one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`);
      found.push({ url, colorScheme, width, id: one.id, impact: one.impact, where });
    }
  }
  // A judge who finds nothing must be able to find something.
  const control = await page.evaluate(async () => {
    const words = document.createElement("p");
    words.textContent = "hardly to be read";
    words.setAttribute("style", "color: #777; background: #888");
    document.querySelector("main").append(words, document.createElement("img"));
    const said = await window.axe.run(document, { runOnly: ["color-contrast", "image-alt"] });
    return said.violations.map((one) => one.id).sort();
  });
  return { found, rules, control };
}, { bypassCSP: true });
