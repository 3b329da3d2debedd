// The pictures of README.

import { play, told } from "./stage.mjs";

await play(async (page) => {
  const shots = [];
  const shoot = async (name, width, height, colorScheme, where) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await page.goto(told.url, { waitUntil: "load" });
    await page.getByText("Live", { exact: true }).waitFor();
    if (where) await page.evaluate((id) => document.getElementById(id).scrollIntoView(), where);
    const path = `${told.directory}/${name}.png`;
    await page.screenshot({ path, animations: "disabled" });
    shots.push(path);
  };
  await shoot("status-light", 1280, 1000, "light");
  await shoot("status-dark", 1280, 1000, "dark");
  await shoot("status-timeline", 1280, 1000, "light", "timeline");
  await shoot("status-modules", 1280, 800, "dark", "modules");
  await shoot("status-narrow", 390, 844, "light");
  await page.emulateMedia({ media: "print" });
  const pdf = await page.pdf({ format: "A4" });
  return { shots, pages: (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? []).length };
});
