// Screenshots of pages at two widths, light and dark, a PDF, and what axe-core has to say of each.
//
//     npm install --no-save axe-core selenium-webdriver   # Chromium and its driver: from the system
//     node scripts/look.js FOLDER PAGE.html...
//
// CHROMIUM and CHROMEDRIVER name the programs where they lie elsewhere than in /usr/bin.
const fs = require("fs");
const os = require("os");
const path = require("path");
const { Builder } = require("selenium-webdriver");
const chrome = require("selenium-webdriver/chrome");

const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const RUN_AXE = "const done = arguments[0]; axe.run().then(done, e => done({ error: String(e) }))";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

async function look(driver, folder, page, width, scheme) {
  const send = (name, words) => driver.sendAndGetDevToolsCommand(name, words);
  const title = `${path.basename(page, ".html")}-${width}-${scheme}`;
  await send("Emulation.setDeviceMetricsOverride", {
    width, height: 900, deviceScaleFactor: 1, mobile: width < 600,
  });
  await send("Emulation.setEmulatedMedia", {
    features: [{ name: "prefers-color-scheme", value: scheme }],
  });
  await driver.get("file://" + path.resolve(page));
  const [wide, height] = await driver.executeScript(
    "const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]");
  const shot = await send("Page.captureScreenshot", {
    captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 },
  });
  fs.writeFileSync(path.join(folder, `${title}.png`), Buffer.from(shot.data, "base64"));
  let serious = 0;
  if (wide > width) {
    console.log(`${title}: ${wide} px wide`);
    serious++;
  }
  await driver.executeScript(AXE);
  const result = await driver.executeAsyncScript(RUN_AXE);
  if (result.error) throw new Error(result.error);
  for (const found of result.violations) {
    serious += ["serious", "critical"].includes(found.impact);
    console.log(`${title}: ${found.impact} ${found.id} x ${found.nodes.length}: ${found.help}`);
    console.log(`  ${found.nodes[0].html.slice(0, 160)}`);
  }
  return serious;
}

async function main([folder, ...pages]) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "look-"));
  const options = new chrome.Options().addArguments(...FLAGS, `--user-data-dir=${profile}`);
  options.setChromeBinaryPath(process.env.CHROMIUM || "/usr/bin/chromium");
  const service = new chrome.ServiceBuilder(process.env.CHROMEDRIVER || "/usr/bin/chromedriver");
  const driver = await new Builder()
    .forBrowser("chrome").setChromeOptions(options).setChromeService(service).build();
  let serious = 0;
  try {
    fs.mkdirSync(folder, { recursive: true });
    for (const page of pages) {
      for (const width of [1280, 390]) {
        for (const scheme of ["light", "dark"]) {
          serious += await look(driver, folder, page, width, scheme);
        }
      }
      const pdf = await driver.sendAndGetDevToolsCommand("Page.printToPDF", {});
      const name = path.basename(page, ".html") + ".pdf";
      fs.writeFileSync(path.join(folder, name), Buffer.from(pdf.data, "base64"));
    }
  } finally {
    await driver.quit();
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
  console.log(`${serious} serious findings`);
  process.exitCode = serious ? 1 : 0;
}

main(process.argv.slice(2));
