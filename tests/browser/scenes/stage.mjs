// The stage of every scene: Chromium with a fresh profile and nothing but the page's own server to talk to.

import { createRequire } from "node:module";

export const told = JSON.parse(process.argv[2]);
const require = createRequire(`${told.packages}/`);
const { chromium } = require("playwright-core");
export const axe = () => require.resolve("axe-core");

const FLAGS = [
  "--no-sandbox", // the tests run as root in containers, where Chromium's sandbox cannot be set up
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// What a browser says against a page: errors, refused resources, answers that are none, requests to anybody else.
function listen(page, complaints) {
  const own = new Set([told.url, ...(told.others ?? [])].map((url) => new URL(url).origin));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("requestfailed", (request) => {
    // A poll that is under way when the page is closed is no complaint.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`failed: ${request.url()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && !own.has(url.origin)) complaints.push(`outside: ${url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`answer ${response.status()}: ${response.url()}`);
  });
}

export async function play(scene, options = {}) {
  const complaints = [];
  const context = await chromium.launchPersistentContext(told.profile, {
    executablePath: told.chromium,
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 900 },
    locale: "en-GB",
    timezoneId: "UTC",
    ...options,
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    listen(page, complaints);
    const result = await scene(page, context, complaints);
    process.stdout.write(JSON.stringify({ ...result, complaints }));
  } finally {
    await context.close();
  }
}

// Everybody who is wider than the window, by name: there must be nobody.
export const wider = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > width + 1);
    return wide.slice(0, 5).map((one) => `${one.tagName}.${one.className}#${one.id} ${one.textContent.slice(0, 40)}`);
  });
