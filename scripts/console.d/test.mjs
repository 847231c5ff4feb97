// What scripts/test-console looks at.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { House, balancer, scripted, until } from "./house.mjs";

const require = createRequire(join(process.env.BROWSER, "x"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const isLarge = process.argv.includes("--large");
const shots = process.argv.includes("--sabotage") ? undefined : process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
/** What is shown as text, wherever it comes from. */
const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\u202egnp.exe`;
/** What is broken on purpose: a text of a file, and what takes its place. */
let broken;
const wrong = [];
const check = (holds, what) => holds || (wrong.push(what), console.log(`FAILED: ${what}`));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

/** A window whose complaints are kept. */
async function open(house, { dark = false, width = 1280, url = house.url, headers } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce", extraHTTPHeaders: headers });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const page = await context.newPage();
  page.complaints = [];
  page.asked = [];
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && page.complaints.push(line.text()));
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("requestfailed", (request) => request.failure().errorText === "net::ERR_ABORTED" || page.complaints.push(`${request.url()}: ${request.failure().errorText}`));
  page.on("response", (response) => response.status() >= 400 && page.complaints.push(`${response.status()} ${response.url()}`));
  page.on("request", (request) => {
    page.asked.push(`${request.method()} ${request.url().slice(url.length)}`);
    if (!request.url().startsWith(`${url}/`) && !request.url().startsWith("data:") && !request.url().startsWith("blob:")) page.complaints.push(`a foreign host: ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`the policy forbids ${event.violatedDirective} ${event.blockedURI}`));
  });
  if (broken) {
    await page.route(`**/${broken.file}`, async (route) => {
      const response = await route.fetch();
      const text = await response.text();
      if (!text.includes(broken.text)) throw new Error(`${broken.file} holds no ${broken.text}`);
      await route.fulfill({ response, body: text.replace(broken.text, broken.instead) });
    });
  }
  const said = () => page.locator("nav [role=status]").textContent();
  page.says = (words) =>
    until(`the page says ${words}`, async () => (await said()).includes(words)).catch(async (error) => {
      throw new Error(`${error.message}; it says ${await said()}, having asked for ${page.asked.slice(-20).join(", ")}: ${page.complaints.join("; ")}`);
    });
  page.at = async (place) => {
    await page.goto(`${url}/console#/${place}`);
    await page.waitForSelector("main h1");
    await page.waitForFunction(() => !document.querySelector("main [aria-busy]"));
  };
  return page;
}

/** Light, dark, and a telephone. */
const LOOKS = [["light", {}], ["dark", { dark: true }], ["narrow", { width: 390 }]];

async function looks(house, places, as = LOOKS) {
  for (const [look, options] of as) {
    const page = await open(house, options);
    // The browser itself brings it: the page's policy lets no script in.
    await page.addInitScript({ path: axe });
    for (const [name, place] of places) {
      page.complaints.length = 0;
      await page.at(place);
      await page.waitForTimeout(200);
      const what = `${name} (${look})`;
      check(!page.complaints.length, `${what}: ${page.complaints.join("; ")}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(wide <= 0, `${what}: it scrolls sideways by ${wide} pixels`);
      check((await page.title()) !== "owned", `${what}: a text was read as markup`);
      check(!/[\u202a-\u202e]/.test(await page.evaluate(() => document.body.innerText)), `${what}: a text turns the direction of what is behind it`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = false)));
      if (shots) await page.screenshot({ path: join(shots, `${name}-${look}.png`), fullPage: true });
      const { violations } = await page.evaluate(() => globalThis.axe.run(document));
      for (const { id, nodes } of violations) check(false, `${what}: axe: ${id}: ${nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
    }
    await page.context().close();
  }
}

/** Each command of an empty page works, without agents and with them. */
async function emptiness() {
  const model = { MODELS: JSON.stringify({ scripted: { provider: "openai_compatible", model: "scripted", base_url: await scripted() } }) };
  for (const [settings, places] of [[{}, ["", "tools", "calls", "connect", "keys", "system/log", "system/alerts", "system/backups"]], [model, ["runs", "inbox"]]]) {
    const house = await House.open(settings);
    const page = await open(house);
    const commands = new Set();
    for (const place of places) {
      await page.at(place);
      if (place !== "tools" && place !== "connect") await page.waitForSelector(".empty pre, .steps pre");
      for (const text of await page.locator(".empty pre, .steps pre").allTextContents()) commands.add(text);
    }
    console.log(`empty pages tell: ${[...commands].join("; ")}`);
    check(commands.size >= places.length - 2, "an empty page tells nothing");
    for (const command of commands) {
      const ran = await house.run(command);
      check(ran.status === 0, `\`${command}\` fails: ${ran.stderr}`);
    }
    const navigation = await page.locator("nav").textContent();
    check(navigation.includes("Runs") === Boolean(settings.MODELS), "a page of a part that is off is in the navigation, or one that is on is not");
    if (!settings.MODELS) {
      await page.at("");
      await page.waitForFunction(() => document.querySelectorAll(".steps .done").length >= 2);
    }
    await page.context().close();
    house.kill();
  }
}

/** Seven calls, one of them an error, are the same everywhere within a second. */
async function honesty() {
  const house = await House.open();
  const pages = await Promise.all(["", "tools", "calls"].map(async (place) => {
    const page = await open(house);
    await page.at(place);
    return page;
  }));
  const [overview, tools, calls] = pages;
  const figures = () => overview.locator(".figures dd").allTextContents();
  check((await figures()).every((figure) => figure.trim() === "–"), `nothing was called, and it says ${await figures()}`);
  for (let n = 0; n < 6; n++) await house.call("time.now");
  await house.call("notes.read", { name: "none" });
  const begun = performance.now();
  const seen = async () => {
    const [all, errors] = await figures();
    const rows = await calls.locator("tbody tr[tabindex]").count();
    const each = await tools.locator("tbody tr[tabindex] td.figure").allTextContents();
    const used = each.map((text) => Number(text.trim())).filter((count) => count > 0).sort();
    return all.trim() === "7" && errors.trim().startsWith("1 ") && rows === 7 && `${used}` === "1,6";
  };
  await until("seven calls are shown everywhere", seen, broken ? 5 : 30);
  const took = performance.now() - begun;
  console.log(`seven calls were shown on three pages after ${Math.round(took)} ms`);
  const metrics = (await house.ask("GET", "/metrics")).text;
  const counted = [...metrics.matchAll(/^mcp_tool_calls_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  check(counted === 7, `/metrics counts ${counted}`);
  // Where the machine does nothing else.
  check(!isLarge || took < 1000, `it took ${Math.round(took)} ms`);
  for (const page of pages) {
    check(!page.complaints.length, page.complaints.join("; "));
    await page.context().close();
  }
  house.kill();
}

/** The main ways by keyboard alone; what is counted is how often something is set off. */
async function keyboard(house) {
  const page = await open(house);
  const press = (key) => page.keyboard.press(key);
  let count = 0;
  const setOff = (key) => (count++, press(key));
  const took = (what, most) => {
    console.log(`by keyboard: ${what}: ${count}`);
    check(count <= most, `${what} takes ${count}, and not ${most}`);
    count = 0;
  };
  await page.at("tools");
  await press("/");
  await page.keyboard.type("time.now");
  await press("Escape");
  await page.evaluate(() => document.activeElement.blur());
  await press("j");
  await setOff("Enter");
  await page.waitForSelector("form.arguments");
  await page.locator("form.arguments textarea").first().focus();
  await page.keyboard.type("Europe/Lisbon");
  await setOff("Control+Enter");
  await page.waitForSelector("pre[aria-label='Structured result']");
  took("the first result of a tool", 2);

  await press("Control+k");
  await page.keyboard.type("inbox");
  await press("Enter");
  await page.waitForSelector(".inbox .question button");
  const before = await page.locator(".inbox > li").count();
  await page.locator(".inbox .question button").first().focus();
  await setOff("Enter");
  await page.waitForFunction((before) => document.querySelectorAll(".inbox > li").length === before - 1, before);
  took("an answer to a question", 1);

  await house.call("notes.read", { name: "there-is-none" });
  const { calls } = (await house.ask("GET", "/api/v1/calls?outcome=error&limit=1")).body;
  await page.at(`calls/${calls[0].id}`);
  await page.locator("a.button").focus();
  await setOff("Enter");
  await page.waitForSelector("form.arguments textarea");
  const field = page.locator("form.arguments textarea").first();
  check((await field.inputValue()) === "there-is-none", "a call is not written down once more");
  await field.focus();
  await press("Control+a");
  await page.keyboard.type("list");
  await setOff("Control+Enter");
  await page.waitForSelector("pre[aria-label='Structured result']");
  took("a failed call, edited and repeated", 2);
  await press("?");
  await page.evaluate(() => document.activeElement.blur());
  await press("?");
  await page.waitForSelector("dialog[open] kbd");
  await press("Escape");
  await page.waitForFunction(() => !document.querySelector("dialog[open]"));
  check(!page.complaints.length, `by keyboard: ${page.complaints.join("; ")}`);
  await page.context().close();
}

/** Tools that say how far they are, that ask more than once, and that show what is no text. */
async function speaking() {
  const house = await House.open({ SERVED_BY: "bundled" }, undefined, process.env.EVERYTHING);
  const page = await open(house);
  const run = async (tool) => {
    await page.at(`tools/${tool}`);
    await page.getByRole("button", { name: "Run" }).click();
  };
  const gives = async (text) => {
    await page.waitForSelector("pre[aria-label='Text']");
    const given = await page.locator("pre[aria-label='Text']").textContent();
    check(given.includes(text), `a tool gives ${given}, and not ${text}`);
  };
  await page.at("tools/test_tool_with_progress");
  await page.evaluate(() => {
    globalThis.told = [];
    const look = () => document.querySelectorAll("progress[value]").forEach(({ value }) => globalThis.told.push(value));
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await run("test_tool_with_progress");
  await gives("executed successfully");
  const told = await page.evaluate(() => globalThis.told);
  check(told.includes(50), `a tool was half done, and the page showed ${told.join(", ")}`);

  await run("test_input_required_result_multi_round");
  for (const answer of ["Ada", "green"]) {
    await page.locator(".question textarea").fill(answer);
    await page.getByRole("button", { name: "Answer" }).click();
    await page.waitForFunction((answer) => document.querySelector(".question textarea")?.value !== answer, answer);
  }
  await gives("Ada");
  await gives("green");
  const answers = page.asked.filter((line) => line.endsWith("/answer")).length;
  check(answers === 2, `two answers were sent ${answers} times`);

  await run("test_image_content");
  await page.waitForFunction(() => document.querySelector("main img")?.naturalWidth > 0);
  check(!page.complaints.length, `tools of all kinds: ${page.complaints.join("; ")}`);
  await page.context().close();
  house.kill();
}

/** How often the timeline of a run says that it was interrupted, beside this, which it shows as well. */
async function interruptions(house, run, beside) {
  const page = await open(house);
  await page.at(`runs/${run}`);
  await page.waitForSelector(`.timeline rect.${beside}`);
  const marks = await page.locator(".timeline rect.restart").count();
  check(!page.complaints.length, `the timeline of a run: ${page.complaints.join("; ")}`);
  await page.context().close();
  return marks;
}

/** Where a run was interrupted is seen on its timeline; a question that it asks is no interruption. */
async function interrupting(house, asking) {
  check((await interruptions(house, asking, "waiting")) === 0, "a question is shown as an interruption");
  const settings = {
    MODELS: JSON.stringify({ scripted: { provider: "openai_compatible", model: "scripted", base_url: await scripted(2000) } }),
    AGENTS: JSON.stringify({ helper: { description: "Takes notes.", model: "scripted", tools: ["notes.*"] } }),
  };
  const first = await House.open(settings);
  const { id } = (await first.ask("POST", "/api/v1/agents/helper/runs", { input: "Note that we need milk." })).body;
  await until("a note is written", async () => (await first.ask("GET", `/api/v1/runs/${id}/events`)).text.includes("tool.ended"));
  await first.stop();
  const second = await House.open(settings, first.folder);
  await until("a run has ended", async () => (await second.ask("GET", `/api/v1/runs/${id}`)).body.run.state === "completed");
  const marks = await interruptions(second, id, "restart");
  check(marks === 1, `a run that was interrupted once is marked ${marks} times`);
  second.kill();
}

/** Who declines has said that, and nothing else. */
async function declining(house) {
  const page = await open(house);
  await page.at("inbox");
  await page.waitForSelector(".inbox .question button");
  const before = await page.locator(".inbox > li").count();
  const sent = [];
  page.on("request", (request) => request.method() === "POST" && sent.push(request.postData()));
  await page.getByRole("button", { name: "Decline" }).first().click();
  await page.waitForFunction((before) => document.querySelectorAll(".inbox > li").length === before - 1, before);
  check(sent.length === 1 && sent[0].includes('"decline"'), `whoever declines says ${sent.join(", ")}`);
  check(!page.complaints.length, `declining: ${page.complaints.join("; ")}`);
  await page.context().close();
}

/** A key that is made for a client says when it was used. */
async function connecting(house) {
  const page = await open(house);
  await page.at("connect");
  await page.getByRole("button", { name: "Make a key for a client" }).click();
  await page.waitForSelector("main [role=status] .warn");
  const [text] = await page.locator("pre[aria-label='Claude Code']").allTextContents();
  const [, key] = text.match(/Bearer (mcp_[^"]+)/);
  await fetch(`${house.url}/api/v1/tools`, { headers: { authorization: `Bearer ${key}` } });
  await page.waitForSelector("main [role=status] .good");
  check(!page.complaints.length, `connect: ${page.complaints.join("; ")}`);
  await page.context().close();
}

/** What is to be copied is; where the browser does not let a page do that, it is selected. */
async function copying(house) {
  for (const isLet of [true, false]) {
    const page = await open(house);
    if (!isLet) await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
    await page.at("connect");
    const text = await page.locator("pre[aria-label='Claude Code']").textContent();
    await page.getByRole("button", { name: "Copy" }).first().click();
    await page.getByRole("button", { name: isLet ? "Copied" : "Press Ctrl+C" }).waitFor();
    const taken = await page.evaluate((isLet) => (isLet ? navigator.clipboard.readText() : getSelection().toString()), isLet);
    check(taken === text, `what is copied is ${taken}, and not ${text}`);
    check(!page.complaints.length, `copying: ${page.complaints.join("; ")}`);
    await page.context().close();
  }
}

/** A range that is drawn on the plot is in the address, and so in what is listed. */
async function brushing(house) {
  const page = await open(house);
  await page.at("calls");
  const box = await page.locator(".u-over").boundingBox();
  await page.mouse.move(box.x + 20, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + 30, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => location.hash.includes("from="));
  await page.waitForSelector(".empty");
  check(!page.complaints.length, `calls of a range: ${page.complaints.join("; ")}`);
  await page.context().close();
}

/** A view asks for what it shows once. */
async function sparing(house) {
  const page = await open(house);
  await page.at("connect");
  // What was asked before the first tick is asked once more with it: nobody knows what happened in between.
  await page.says("live");
  for (const [place, most] of [["tools", ["tools", "stats", "tools?enabled"]], ["calls", ["calls", "stats"]], ["runs", ["runs"]], ["keys", ["keys"]], ["inbox", ["questions"]]]) {
    await page.at("connect");
    page.asked.length = 0;
    await page.evaluate((place) => (location.hash = `#/${place}`), place);
    await page.waitForFunction(() => document.querySelector("main table, main .inbox, main .empty"));
    await page.waitForTimeout(300);
    const asked = page.asked.map((line) => line.match(/api\/v1\/(\w+(\?enabled)?)/)?.[1]).filter(Boolean);
    check(asked.length === most.length && most.every((name) => asked.includes(name)), `${place} asks for ${page.asked.join(", ")}`);
  }
  await page.context().close();
}

/** With a key, and without. */
async function doors() {
  const key = "the-key-of-the-house";
  const house = await House.open({ HOST: "0.0.0.0", API_KEY: key, SECRET_KEYS: "aG91c2UhIGhvdXNlISBob3VzZSEgaG91c2UhIDEyMzQ=" });
  const page = await open(house);
  await page.goto(`${house.url}/console`);
  await page.waitForSelector("input[type=password]");
  await page.locator("input[type=password]").fill("another key");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".sign-in [role=alert]");
  await page.locator("input[type=password]").fill(key);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".figures");
  const [cookie] = await page.context().cookies();
  check(cookie.httpOnly && cookie.sameSite === "Strict", `the cookie is ${JSON.stringify(cookie)}`);
  await page.context().close();
  const { url } = JSON.parse((await house.run("mcp-http console --json")).stdout);
  const linked = await open(house);
  await linked.goto(url);
  await linked.waitForSelector(".figures");
  check(!linked.url().includes("token"), "the token stays in the address");
  await linked.context().close();
  house.kill();
}

/** Replicas die behind a balancer: the page goes on with another one, says when there is none, and comes back by itself. */
async function replicas() {
  const [one, other] = [await House.open(), await House.open()];
  const url = await balancer([one, other]);
  const page = await open(one, { url });
  await page.at("");
  await page.says("live");
  one.kill();
  await page.at("tools");
  await page.waitForSelector("tbody tr[tabindex]");
  await page.says("live");
  other.kill();
  await page.says("does not answer");
  const again = await House.open({ PORT: one.settings.PORT }, one.folder);
  await page.says("live");
  await page.at("calls");
  await page.waitForSelector(".empty");
  await page.context().close();
  again.kill();
}

/** Lines that come fast cost no more than a few. */
async function logs(seconds) {
  const house = await House.open({ LOG_LEVEL: "debug" });
  const page = await open(house);
  await page.at("system/log");
  const session = await page.context().newCDPSession(page);
  const used = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize / 2 ** 20;
  };
  const longest = async () => {
    const { result: { objectId: prototypeObjectId } } = await session.send("Runtime.evaluate", { expression: "Array.prototype" });
    const { objects: { objectId } } = await session.send("Runtime.queryObjects", { prototypeObjectId });
    const functionDeclaration = "function () { return this.reduce((most, { length }) => Math.max(most, length), 0); }";
    return (await session.send("Runtime.callFunctionOn", { objectId, functionDeclaration, returnByValue: true })).result.value;
  };
  const load = (time) => house.run(`mcp-http load --rate 1000 --for ${time}s --tool time.now --json >/dev/null`);
  await load(3);
  const before = await used();
  await load(seconds);
  const after = await used();
  const most = await longest();
  console.log(`${seconds} s of log: the page has ${before.toFixed(1)} MiB, and then ${after.toFixed(1)} MiB, and keeps ${most} lines`);
  check(most <= 2000, `the page keeps ${most} lines`);
  check(after < before + 2, `the page grows from ${before} to ${after} MiB`);
  check((await page.locator(".log p").count()) > 100, "the log shows no lines");
  await page.context().close();
  house.kill();
}

/** A page of many calls. */
async function many() {
  const house = await House.open({ RATE_LIMIT: "" });
  while (Number((await house.ask("GET", "/api/v1/stats?measure=calls")).body.series[0].total) < 100_000) {
    const ran = await house.run("mcp-http load --rate 2500 --for 20s --tool time.now --json");
    if (ran.status) throw new Error(ran.stderr);
  }
  const page = await open(house);
  await page.at("connect");
  const begun = performance.now();
  await page.evaluate(() => (location.hash = "#/calls"));
  await page.waitForSelector("tbody tr[tabindex]");
  const took = performance.now() - begun;
  console.log(`a page of 100,000 calls is there after ${Math.round(took)} ms`);
  check(took < 300, `a page of 100,000 calls takes ${Math.round(took)} ms`);
  await page.context().close();
  house.kill();
}

/** A server on which everything was used. */
async function furnished() {
  const base = await scripted();
  const house = await House.open({
    MODELS: JSON.stringify({ scripted: { provider: "openai_compatible", model: "scripted", base_url: base } }),
    AGENTS: JSON.stringify({ helper: { description: `Takes notes. ${EVIL}`, model: "scripted", tools: ["notes.*"] } }),
    POLICY: JSON.stringify({ approval: ["notes.write"] }),
    DEBUG_MODE: "true",
  });
  await house.call("notes.write", { name: "list", text: EVIL });
  for (const zone of ["Europe/Lisbon", "Asia/Tokyo"]) await house.call("time.now", { zone });
  await house.call("notes.read", { name: "list" });
  await house.call("notes.read", { name: EVIL });
  await house.ask("POST", "/api/v1/keys", { name: EVIL.slice(0, 100) });
  const runs = [];
  for (let n = 0; n < 3; n++) runs.push((await house.ask("POST", "/api/v1/agents/helper/runs", { input: n ? "Note that we need milk, and bread." : EVIL })).body.id);
  await until("all runs ask", async () => (await house.ask("GET", "/api/v1/questions")).body.questions.length === 3);
  const [{ name }] = (await house.ask("GET", "/api/v1/questions")).body.questions;
  await house.ask("POST", `/api/v1/runs/${runs[0]}/answers`, { answers: { [name]: { action: "accept", content: { approve: true } } } });
  await until("a run has ended", async () => (await house.ask("GET", `/api/v1/runs/${runs[0]}`)).body.run.state === "completed");
  await house.run("mcp-http backup monday");
  return { house, runs };
}

/** Whether it would find what it looks for. */
async function sabotage() {
  const look = (place, as = LOOKS.slice(0, 1)) => async (house) => looks(house, [["page", place]], as);
  const all = {
    "a foreign host": ["console", "<body>", '<body><img alt="" src="https://example.com/x.png">', look("")],
    "a script in the page": ["console", "<body>", '<body><script>console.log("in")</script>', look("")],
    "a complaint": ["console/app.js", "function App() {", 'function App() {\n  console.error("it breaks");', look("")],
    "what axe finds": ["console", ' lang="en"', "", look("")],
    "sideways scroll": ["console/console.css", "body { margin: 0; }", "body { margin: 0; min-width: 420px; }", look("keys", LOOKS.slice(2))],
    "a text that is markup": ["console/pages/calls.js", "<h2>Arguments</h2>", '<h2 dangerouslySetInnerHTML=${{ __html: call.arguments.name }}></h2>', async (house) => look(`calls/${(await house.ask("GET", "/api/v1/calls?outcome=error&limit=1")).body.calls[0].id}`)(house)],
    "figures that stay": ["console/live.js", 'event === "tick"', 'event === "tock"', honesty],
    "a question too many": ["console/kit.js", "  return { ...answer, reload:", "  useEffect(() => void (where && get(where)), [where]);\n  return { ...answer, reload:", sparing],
    "a log that is kept": ["console/pages/system.js", "kept.current.length > 2 * MOST_LINES", "false", () => logs(8)],
  };
  const { house } = await furnished();
  let blind = 0;
  for (const [what, [file, text, instead, look]] of Object.entries(all)) {
    console.log(`--- broken on purpose: ${what}`);
    broken = { file, text, instead };
    wrong.length = 0;
    await look(house).catch((error) => (wrong.push(String(error)), console.log(`FAILED: ${error}`)));
    if (!wrong.length) console.log(`BLIND: ${what} was not found`, ++blind);
  }
  wrong.length = 0;
  for (let n = 0; n < blind; n++) wrong.push("blind");
}

try {
  if (process.argv.includes("--sabotage")) {
    await sabotage();
    await browser.close();
    console.log(wrong.length ? `${wrong.length} were not found` : "each was found");
    process.exit(wrong.length ? 1 : 0);
  }
  const { house, runs } = await furnished();
  const { calls } = (await house.ask("GET", "/api/v1/calls?limit=100")).body;
  const failed = calls.find((call) => call.outcome === "error");
  await looks(house, [
    ["overview", ""],
    ["tools", "tools"],
    ["tool", "tools/notes.write"],
    ["calls", "calls"],
    ["call", `calls/${failed.id}`],
    ["runs", "runs"],
    ["run", `runs/${runs[0]}`],
    ["run-waiting", `runs/${runs[1]}`],
    ["inbox", "inbox"],
    ["connect", "connect"],
    ["keys", "keys"],
    ["system", "system"],
    ["system-replicas", "system/replicas"],
    ["system-log", "system/log"],
    ["system-config", "system/config"],
    ["system-alerts", "system/alerts"],
    ["system-backups", "system/backups"],
    ["system-doctor", "system/doctor"],
  ]);
  await keyboard(house);
  await sparing(house);
  await declining(house);
  await connecting(house);
  await copying(house);
  await brushing(house);
  await interrupting(house, runs[0]);
  house.kill();
  await speaking();
  await emptiness();
  await honesty();
  await doors();
  await replicas();
  await logs(isLarge ? 60 : 8);
  if (isLarge) await many();
} catch (error) {
  wrong.push(String(error));
  console.log(`FAILED: ${error.stack}`);
}
await browser.close();
console.log(wrong.length ? `${wrong.length} things do not hold` : "all holds");
process.exit(wrong.length ? 1 : 0);
