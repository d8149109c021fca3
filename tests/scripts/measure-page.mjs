// measure-page.mjs SITE SERVER CHROMIUM FOLDER PROGRAM VULKAN: measures the built page in Chromium, and prints what it measured. PROGRAM
// answers the same question in turn, on the same driver, whose Vulkan manifest is VULKAN. tests/scripts/measure-page.sh makes all that.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { COMPUTES, DRAWS, browser, chord, expect, idle, openPage, page, ready, send, serve, server, startBrowser, untilState } from './page-driver.mjs';
import { writeSyntheticGguf } from './synthetic-gguf.mjs';

const [site, serverProgram, executablePath, folder, program, vulkan] = process.argv.slice(2);
const QUESTION = 'How does attention work in Gemma 2?';
const ROUNDS = 5;

const sorted = (values) => values.toSorted((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)];
const spread = (values) => `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;

// Tokens per second of the program's reply. `isChecked` says whether its shaders check every index, as those of browsers must.
function native(isChecked) {
    const env = { ...process.env, VK_DRIVER_FILES: vulkan, LAPIDARY_SAFE_SHADERS: isChecked ? '1' : '0' };
    const output = execFileSync(program, ['run', '-m', 'guide', '--temperature', '0', '--json', QUESTION], { env, encoding: 'utf8' });
    const { output_ids, decode_ms } = JSON.parse(output);
    return output_ids.length / (decode_ms / 1000);
}

// Tokens per second of the page's reply, and the milliseconds of each frame on the page's thread until the reply ended.
async function inPage() {
    await chord('Control', 'n');
    await send(QUESTION);
    await page.evaluate(() => (globalThis.frames = []));
    const now = await idle();
    return { speed: now.messages.at(-1).speed.tokens_per_s, frames: await page.evaluate(() => globalThis.frames) };
}

// The page asks for every frame of the browser, and returns at once from those in which it draws nothing.
const DRAWN_MS = 0.3;

// From now on, `frames` in a new page collects the milliseconds that each of its frames keeps the page's thread.
const timeFrames = () =>
    page.evaluateOnNewDocument(() => {
        globalThis.frames = [];
        const ask = globalThis.requestAnimationFrame.bind(globalThis);
        globalThis.requestAnimationFrame = (draw) =>
            ask((time) => {
                const start = performance.now();
                draw(time);
                globalThis.frames.push(performance.now() - start);
            });
    });

async function speed() {
    await openPage(timeFrames);
    await ready();
    native(false);
    native(true);
    await inPage();
    const [natives, checked, pages, frames] = [[], [], [], []];
    for (let round = 0; round < ROUNDS; round++) {
        natives.push(native(false));
        checked.push(native(true));
        const { speed, frames: some } = await inPage();
        pages.push(speed);
        frames.push(...some);
    }
    const ratio = (others) => spread(pages.map((speed, round) => speed / others[round]));
    console.log(`tokens per second, page: ${spread(pages)}`);
    console.log(`tokens per second, program: ${spread(natives)}; page / program per round: ${ratio(natives)}`);
    console.log(`the same, checking indices as browsers do: ${spread(checked)}; page / program per round: ${ratio(checked)}`);
    tellFrames('while replies stream, without drawing', frames);
    await page.close();
}

function tellFrames(when, all) {
    const frames = all.filter((ms) => ms > DRAWN_MS);
    expect(frames.length >= 100, `there are frames to measure: ${frames.length}`);
    const share = (part) => sorted(frames)[Math.floor(part * (frames.length - 1))].toFixed(1);
    console.log(`ms per drawn frame on the page's thread ${when}: median ${share(0.5)}, 99 % at most ${share(0.99)}, longest ${share(1)}, of ${frames.length}`);
}

async function loading() {
    const model = path.join(folder, 'synthetic.gguf');
    writeSyntheticGguf(model);
    await openPage();
    await ready();
    const [chooser] = await Promise.all([page.waitForFileChooser(), chord('Control', 'o')]);
    const started = Date.now();
    await chooser.accept([model]);
    let most = 0;
    const look = async () => {
        for (const worker of page.workers()) {
            most = Math.max(most, await worker.evaluate(() => globalThis.memory?.buffer.byteLength ?? 0).catch(() => 0));
        }
    };
    const timer = setInterval(look, 100);
    const now = await untilState('the large model is ready', ({ model: { status, name } }) => status === 'failed' || (status === 'ready' && name !== 'Guide'), 600);
    await look();
    clearInterval(timer);
    expect(now.model.status === 'ready', `the model is loaded: ${now.model.reason}`);
    expect(most > 0, 'a worker tells its memory');
    console.log(`load of 4.87 GiB from the disk: ${((Date.now() - started) / 1000).toFixed(0)} s, wasm memory of a worker at most ${(most / 1e6).toFixed(0)} MB`);
    await page.close();
}

try {
    await serve(site, serverProgram);
    await startBrowser('chrome', executablePath, folder, COMPUTES);
    await speed();
    await loading();
    await startBrowser('chrome', executablePath, folder, [...COMPUTES, ...DRAWS]);
    await openPage(timeFrames);
    await ready();
    const frames = [(await inPage()).frames, (await inPage()).frames].flat();
    tellFrames('while replies stream, with drawing', frames);
} finally {
    await browser?.close();
    server?.kill();
}
