// check-page.mjs FOLDER URL CHROMIUM: drives Chromium over the page at URL, with real key presses, and says what it measured.
// FOLDER holds what the program answers: `answer.txt` to the question below, and `model.gguf` with `model-answer.txt`. Pictures
// of the page go there too. tests/scripts/check-page.sh makes all that, and installs the npm package `puppeteer-core`.
import fs from 'node:fs';
import path from 'node:path';
import puppeteer from 'puppeteer-core';

const [folder, url, executablePath] = process.argv.slice(2);
const QUESTION = 'What is Lapidary?';
const LONG_QUESTION = 'How does attention work in Gemma 2?';
const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8').trim();

const started = Date.now();
const log = (text) => console.log(`${((Date.now() - started) / 1000).toFixed(1)} s: ${text}`);

function expect(condition, what) {
    if (!condition) throw new Error(`not so: ${what}`);
}

// SwiftShader is Chromium's software adapter. Chromium's sandbox does not run as root.
const args = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--no-sandbox', '--disable-gpu-sandbox'];
const browser = await puppeteer.launch({ executablePath, args, headless: true, defaultViewport: { width: 1080, height: 760 } });
let page;

const state = () => page.evaluate(() => globalThis.lapidary?.state ?? null);

// Waits until the state of the page satisfies a condition, and returns it.
async function until(what, condition, seconds = 60) {
    const end = Date.now() + 1000 * seconds;
    for (;;) {
        const now = await state();
        if (now && condition(now)) return now;
        if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}; the page is at ${JSON.stringify(now)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

async function openPage() {
    page = await browser.newPage();
    page.on('console', (message) => message.type() === 'error' && log(`the page says: ${message.text()}`));
    page.on('pageerror', (error) => log(`the page fails: ${error.message}`));
    await page.goto(url);
}

const ready = () => until('a model is ready', (now) => now.model.status === 'ready' && now.saved, 120);
const picture = (name) => page.screenshot({ path: path.join(folder, `${name}.png`) });

async function send(text) {
    await page.keyboard.type(text);
    await until('the text is in the field', (now) => now.draft === text);
    await page.keyboard.press('Enter');
}

async function chord(modifier, key) {
    await page.keyboard.down(modifier);
    await page.keyboard.press(key);
    await page.keyboard.up(modifier);
}

// Opens a chat by its title, in the palette.
async function openChat(title) {
    await chord('Control', 'k');
    await page.keyboard.type(title);
    await page.keyboard.press('Enter');
}

const idle = () => until('the reply ends', (now) => !now.replying && now.messages.length > 0 && now.messages.at(-1).status !== 'writing', 120);

try {
    await openPage();
    const first = await ready();
    log(`the guide is ready in the page (${first.model.driver})`);
    await picture('first');

    // The field has the focus from the start.
    await send(QUESTION);
    let now = await idle();
    expect(now.messages.length === 2 && now.messages[1].status === 'done', `there is one reply: ${JSON.stringify(now.messages)}`);
    expect(now.messages[1].text.trim() === read('answer.txt'), `the page answers as the program does: ${now.messages[1].text}`);
    const { tokens, tokens_per_s } = now.messages[1].speed;
    log(`the guide's answer is the program's: ${tokens} tokens, ${tokens_per_s.toFixed(1)} tokens/s`);
    await picture('answer');

    await chord('Control', 'b');
    await chord('Control', 'b');
    await send(LONG_QUESTION);
    await until('a reply grows', (now) => now.replying && (now.messages[3]?.text.length ?? 0) > 20);
    await page.keyboard.press('Escape');
    now = await idle();
    expect(now.messages[3].status === 'stopped' && now.messages[3].text.length > 20, `the reply is stopped: ${now.messages[3].status}`);
    log('a reply was stopped');
    const before = now.messages.map(({ text }) => text);

    await page.reload();
    await ready();
    await openChat(QUESTION);
    now = await until('the chat is open', (now) => now.messages.length === 4);
    expect(JSON.stringify(now.messages.map(({ text }) => text)) === JSON.stringify(before), 'the chat is as it was');
    log('the chat is there after a reload');
    await picture('reloaded');

    await send(LONG_QUESTION);
    now = await until('a reply grows', (now) => now.replying && (now.messages[5]?.text.length ?? 0) > 60);
    // What was saved up to then must survive; the last quarter of a second may be lost.
    const written = now.messages[5].text;
    await until('it grows further', (now) => now.messages[5].text.length > written.length + 60);
    await page.close();
    await openPage();
    await ready();
    await openChat(QUESTION);
    now = await until('the chat is open', (now) => now.messages.length === 6);
    expect(now.messages[5].text.startsWith(written) && now.messages[5].status === 'stopped', `the reply is there as far as it came: ${now.messages[5].text}`);
    log('a reply survives the end of its tab');

    const [chooser] = await Promise.all([page.waitForFileChooser({ timeout: 10_000 }), chord('Control', 'o')]);
    await chooser.accept([path.join(folder, 'model.gguf')]);
    now = await until('the model from the disk is ready', (now) => now.model.status === 'ready' && now.model.name !== 'Guide', 120);
    log(`a model from the disk is ready: ${now.model.name}`);
    await chord('Control', 'n');
    await until('a new chat is open', (now) => now.messages.length === 0);
    await send(QUESTION);
    now = await idle();
    expect(now.messages[1].text.length > 0 && now.messages[1].status === 'done', `the model answers: ${JSON.stringify(now.messages)}`);
    log(`the model from the disk answers: ${now.messages[1].text.slice(0, 60)}…`);
    await picture('model');
} catch (error) {
    await picture('failed').catch(() => {});
    console.error(error);
    process.exitCode = 1;
} finally {
    await browser.close();
}
