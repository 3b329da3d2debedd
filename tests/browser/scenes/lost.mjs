// The server goes away and comes back.

import { play, told } from "./stage.mjs";

await play(async (page, context, complaints) => {
  await page.goto(told.url, { waitUntil: "load" });
  await page.getByText("Live", { exact: true }).waitFor();
  await page.route("**/*", (route) => route.abort("connectionrefused"));
  await page.getByText("No answer from kmodmon").waitFor();
  const still = await page.locator("#module-table tbody tr").count();
  await page.unroute("**/*");
  await page.getByText("Live", { exact: true }).waitFor();
  const other = complaints.filter((one) => !/ERR_CONNECTION_REFUSED|^failed: /.test(one));
  complaints.length = 0;
  return { still, other };
});
