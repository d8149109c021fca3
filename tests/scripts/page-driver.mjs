// What the checks of the page and of the package share: serves the built page, drives a browser over it with real key presses, and reads
// its state.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import puppeteer from 'puppeteer-core';

const started = Date.now();
export const log = (text) => console.log(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s: ${text}`);

export function expect(condition, what) {
    if (!condition) throw new Error(`not so: ${what}`);
}

// SwiftShader is Chromium's software adapter. Chromium's sandbox does not run as root.
export const COMPUTES = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--no-sandbox', '--disable-gpu-sandbox'];
// With these Chromium shows what the page draws, and has no time left for the engine.
export const DRAWS = ['--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'];

export let [server, url, browser, page] = [];

// Serves the folder `site` by the program `serverProgram`, at the same address after the first time.
export async function serve(site, serverProgram) {
    server = spawn(serverProgram, ['serve', site, url ? new URL(url).port : '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of readline.createInterface({ input: server.stdout })) {
        url = line;
        return;
    }
    throw new Error('the server ended');
}

// Starts the browser `name`, `chrome` or `firefox`. Its chats stay in `folder` from one browser to the next, and it downloads to there.
// The arguments are Chromium's.
export async function startBrowser(name, executablePath, folder, args) {
    await browser?.close();
    browser = await puppeteer.launch({
        browser: name,
        executablePath,
        args: name === 'chrome' ? args : [],
        extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true, 'browser.download.folderList': 2, 'browser.download.dir': folder },
        headless: true,
        defaultViewport: { width: 1080, height: 760 },
        userDataDir: path.join(folder, 'profile'),
    });
}

export async function openPage(prepare = async () => {}) {
    page = await browser.newPage();
    page.on('console', (message) => message.type() === 'error' && log(`the page says: ${message.text()}`));
    page.on('pageerror', (error) => log(`the page fails: ${error.message}`));
    await prepare();
    await page.goto(url);
}

export const state = () => page.evaluate(() => globalThis.lapidary?.state ?? null);

// Waits until a condition holds, and returns what it gives.
export async function until(what, condition, seconds = 60) {
    const end = Date.now() + 1000 * seconds;
    for (;;) {
        const found = await condition();
        if (found) return found;
        if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}; the page is at ${JSON.stringify(await state())}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

// Waits until the state of the page satisfies a condition, and returns it.
export async function untilState(what, condition, seconds) {
    const test = async () => {
        const now = await state();
        return now && condition(now) ? now : null;
    };
    return until(what, test, seconds);
}

export const ready = () => untilState('a model is ready', (now) => now.model.status === 'ready' && now.saved, 120);
const finished = ({ replying, messages }) => !replying && messages.length > 0 && messages.at(-1).status !== 'writing';
export const idle = () => untilState('the reply ends', finished, 120);

export async function chord(modifier, key) {
    await page.keyboard.down(modifier);
    await page.keyboard.press(key);
    await page.keyboard.up(modifier);
}

export async function send(text) {
    await page.keyboard.type(text);
    await untilState('the text is in the field', (now) => now.draft === text);
    await page.keyboard.press('Enter');
    await untilState('the message is sent', (now) => now.draft === '');
}
