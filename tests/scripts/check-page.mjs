// check-page.mjs SITE SERVER PROGRAM FOLDER [chrome|firefox]: serves the built page in SITE by the program SERVER and drives the browser
// PROGRAM over it, Chromium or Firefox, with real key presses. FOLDER holds what the program answers to the question below,
// `answer.txt`, and the models `model.gguf` and `guide.gguf`; pictures of the page go there. tests/scripts/check-page.sh and
// check-firefox.sh make all that, and install the npm package `puppeteer-core`.
import fs from 'node:fs';
import path from 'node:path';
import { FILE, GATED, REPO, startHub } from './fake-hub.mjs';
import { COMPUTES, DRAWS, browser, chord, expect, idle, log, openPage, page, ready, send, serve, server, startBrowser, state, until, untilState, url } from './page-driver.mjs';

const [site, serverProgram, executablePath, folder, browserName = 'chrome'] = process.argv.slice(2);
const QUESTION = 'What is Lapidary?';
const LONG_QUESTION = 'How does attention work in Gemma 2?';
const answer = fs.readFileSync(path.join(folder, 'answer.txt'), 'utf8').trim();

let hub;

const says = (sentence) => until(sentence, () => page.evaluate((text) => document.querySelector('#message').textContent.includes(text), sentence));
const texts = (now) => JSON.stringify(now.messages.map(({ text }) => text));

const nextFrame = () => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)))));

// Opens a chat by its title, in the palette.
async function openChat(title, messages) {
    await chord('Control', 'k');
    await untilState('the palette is open', (now) => now.dialog);
    await page.keyboard.type(title);
    // The palette lists what fits the title in the frame after the last letter.
    await nextFrame();
    await page.keyboard.press('Enter');
    return untilState('the chat is open', (now) => !now.dialog && now.messages.length === messages);
}

// Takes a picture, which must show more than one colour.
async function picture(name) {
    const image = await page.screenshot({ path: path.join(folder, `${name}.png`) });
    expect(image.length > 10_000, `the page draws something: the picture ${name} has ${image.length} bytes`);
}

async function chats() {
    await openPage();
    await ready();
    log('the guide is ready in the page');
    // What tuning measured is kept for the next load.
    const tuned = await page.evaluate(async () => (await (await caches.open('lapidary-tuning')).match('https://lapidary.invalid/tuning.tsv'))?.text());
    expect(tuned?.includes(' | bf16 any\t'), `the fastest kernels are kept: ${tuned}`);

    // The field has the focus from the start.
    await send(QUESTION);
    let now = await idle();
    const reply = now.messages[1];
    expect(now.messages.length === 2 && reply.status === 'done', `there is one reply: ${texts(now)}`);
    expect(reply.text.trim() === answer, `the page answers as the program does: ${reply.text}`);
    log(`the guide answers as it does in the program: ${reply.speed.tokens} tokens, ${reply.speed.tokens_per_s.toFixed(1)} tokens/s`);

    await send(LONG_QUESTION);
    await untilState('a reply grows', (now) => now.messages[3]?.text.length > 20);
    await page.keyboard.press('Escape');
    now = await idle();
    expect(now.messages[3].status === 'stopped', `the reply is stopped: ${now.messages[3].status}`);
    log('a reply was stopped');

    const before = texts(now);
    await page.keyboard.type('later');
    await untilState('the text is in the field', (now) => now.draft === 'later');
    await page.reload();
    await ready();
    now = await openChat(QUESTION, 4);
    expect(texts(now) === before, `the chat is as it was: ${texts(now)}`);
    expect(now.draft === 'later', `what was typed last is there: ${now.draft}`);
    await chord('Control', 'a');
    await page.keyboard.press('Backspace');
    await untilState('the field is empty', (now) => now.draft === '');
    log('the chat is there after a reload, with what was typed last');

    await send(LONG_QUESTION);
    now = await untilState('a reply grows', (now) => now.messages[5]?.text.length > 20);
    // What was there a second ago is saved.
    const written = now.messages[5].text;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    now = await state();
    // In Firefox the software adapter is fast enough to end it.
    const isWhole = browserName === 'firefox' && !now.replying;
    expect(now.replying || isWhole, 'the reply is still being written');
    const first = page;
    await openPage();
    await says('open in another tab');
    await first.close();
    // Closing a tab can bring another one to the front, and a page behind it draws no frames.
    await page.bringToFront();
    await ready();
    now = await openChat(QUESTION, 6);
    const { text, status } = now.messages[5];
    expect(text.startsWith(written) && status === (isWhole ? 'done' : 'stopped'), `the reply is there as far as it came (${written}): ${text}, ${status}`);
    log('a reply survives the end of its tab, and only one tab at a time has the chats');
}

// Chooses a file in the browser's dialog. On a busy machine the key press that opens it was sometimes lost, for a reason that is not
// known, so it is repeated and the loss is told.
async function chooseFile(file) {
    for (let left = 3; ; left--) {
        try {
            const [chooser] = await Promise.all([page.waitForFileChooser({ timeout: 7000 }), chord('Control', 'o')]);
            await chooser.accept([file]);
            return;
        } catch (error) {
            if (left === 1) throw error;
            log(`no dialog opened; the page is at ${JSON.stringify(await state())}`);
        }
    }
}

async function modelFromDisk() {
    await chooseFile(path.join(folder, 'model.gguf'));
    const other = ({ model }) => model.status === 'ready' && model.name !== 'Guide';
    let now = await untilState('the model from the disk is ready', other, 120);
    await send(QUESTION);
    now = await idle();
    const { text, status } = now.messages.at(-1);
    expect(now.messages.length === 8 && status === 'done' && text.length > 20, `the model answers: ${texts(now)}`);
    log(`a model from the disk, ${now.model.name}, answers: ${text.slice(0, 60)}…`);
}

// A PDF file of one page with this text.
function pdf(text) {
    const content = `BT /F1 12 Tf 72 720 Td (${text}) Tj ET`;
    const objects = [
        '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
        `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
        '<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>',
    ];
    let file = '%PDF-1.4\n';
    const places = objects.map((object, index) => {
        const place = file.length;
        file += `${index + 1} 0 obj\n${object}\nendobj\n`;
        return `${String(place).padStart(10, '0')} 00000 n \n`;
    });
    const table = file.length;
    return `${file}xref\n0 6\n0000000000 65535 f \n${places.join('')}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`;
}

// Ends the worker as after a panic. In another size the formulas are drawn again.
async function endSandbox(formulasAndCode) {
    const worker = page.workers().find((worker) => worker.url().endsWith('sandbox.js'));
    await worker.evaluate(() => postMessage(null));
    await chord('Control', '+');
    await untilState('another worker draws the formulas', (now) => now.formulasAndCode >= formulasAndCode + 2, 30);
    const others = page.workers().filter((other) => other.url().endsWith('sandbox.js'));
    expect(others.length === 1 && others[0] !== worker, 'the worker that failed is gone, and another one is there');
    await chord('Control', '0');
}

// What a worker of its own reads: formulas, code and PDF files.
async function sandbox() {
    const message = (role, text) => ({ author: { role }, content: { content_type: 'text', parts: [text] }, create_time: 1 });
    const text = 'Inline $e^{i\\pi} + 1 = 0$, and\n\n$$\\int_0^1 \\frac{x^2}{\\sqrt{1 + x}}\\,dx$$\n\n```rust\nfn main() { let answer = "42"; } // code\n```';
    const mapping = {
        a: { id: 'a', parent: null, children: ['b'], message: message('user', 'Show me formulas and code.') },
        b: { id: 'b', parent: 'a', children: [], message: message('assistant', text) },
    };
    const file = path.join(folder, 'chats.json');
    fs.writeFileSync(file, JSON.stringify([{ title: 'Formulas', create_time: 1, mapping, current_node: 'b' }]));
    const { formulasAndCode } = await state();
    await chord('Control', 'k');
    await untilState('the palette is open', (now) => now.dialog);
    await page.keyboard.type('Import chats');
    const [imports] = await Promise.all([page.waitForFileChooser({ timeout: 7000 }), page.keyboard.press('Enter')]);
    await imports.accept([file]);
    await untilState('the chat is imported', (now) => now.chats.includes('Formulas'));
    await openChat('Formulas', 2);
    await untilState('two formulas and a piece of code are drawn', (now) => now.formulasAndCode === formulasAndCode + 3, 30);
    // Firefox runs no code of a test in a worker.
    if (browserName === 'chrome') await endSandbox(formulasAndCode + 3);
    const attach = async (name, content) => {
        fs.writeFileSync(path.join(folder, name), content);
        const [chooser] = await Promise.all([page.waitForFileChooser({ timeout: 7000 }), click('Attach a file')]);
        await chooser.accept([path.join(folder, name)]);
    };
    await attach('no.pdf', 'this is no PDF');
    await untilState('what is no PDF file is refused', (now) => now.notices.some((notice) => notice.includes('not a readable PDF')));
    await attach('yes.pdf', pdf('The text of a page.'));
    await untilState('the text of a PDF file is attached', (now) => now.attached[0]?.includes('The text of a page.'));
    await click('Remove yes.pdf');
    await untilState('the file is removed', (now) => now.attached.length === 0);
    await openChat(QUESTION, 6);
    log('formulas and code are drawn, and a PDF file is read');
}

// Clicks a control in its middle, once it has stood still for some milliseconds.
async function click(name, still = 100) {
    let [place, since] = ['', 0];
    const find = async () => {
        const found = (await page.evaluate(() => globalThis.lapidary.controls)).find((control) => control.name === name && control.enabled);
        const now = JSON.stringify(found);
        if (now !== place) [place, since] = [now, Date.now()];
        return found && Date.now() - since >= still ? found : null;
    };
    const { x, y } = await until(`there is a control “${name}”`, find);
    await page.mouse.click(x, y);
}

// The SHA-256 of every file in the browser's file system, by path.
const kept = () =>
    page.evaluate(async () => {
        const found = {};
        const walk = async (folder, path) => {
            for await (const [name, handle] of folder.entries()) {
                if (handle.kind === 'directory') await walk(handle, `${path}${name}/`);
                else {
                    const hash = await crypto.subtle.digest('SHA-256', await (await handle.getFile()).arrayBuffer());
                    found[path + name] = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
                }
            }
        };
        await walk(await navigator.storage.getDirectory(), '');
        return found;
    });

async function downloads() {
    const name = `${REPO}:${FILE}`;
    const place = `models/${REPO}/${FILE}`;
    const status = (wanted) => untilState(`the download is ${wanted}`, ({ downloads }) => downloads[name]?.status === wanted);
    const ask = async (name) => {
        await click('Model of the hub');
        await page.keyboard.type(name);
        await page.keyboard.press('Enter');
    };
    hub = await startHub(path.join(folder, FILE), 'page', 'break', 'hold', 'wrong');
    await page.evaluateOnNewDocument((address) => (globalThis.lapidaryHub = address), hub.address);
    await page.reload();
    await ready();
    await chord('Control', 'm');
    await click('Get models');
    await ask('guide gemma');
    await until('the search finds a model', () => page.evaluate((name) => globalThis.lapidary.controls.some((control) => control.name === `Download ${name}`), REPO));
    await click('Back to the catalogue');
    await ask(`${GATED}:${FILE}`);
    const refused = await untilState('a model that needs an account is refused', ({ downloads }) => downloads[`${GATED}:${FILE}`]?.reason);
    expect(refused.downloads[`${GATED}:${FILE}`].reason.includes('Open a file…'), 'the refusal says what to do');

    await ask(name);
    await untilState('the terms are shown', (now) => now.dialog);
    expect(hub.starts.length === 0, 'nothing is downloaded before the terms are accepted');
    // Firefox has no quota that a test can set.
    const session = browserName === 'chrome' ? await page.createCDPSession() : undefined;
    const origin = new URL(url).origin;
    await session?.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1e6 });
    await click('Accept and download');
    if (session) {
        const full = await status('failed');
        expect(full.downloads[name].reason.includes('no room left'), `a full disk is told: ${full.downloads[name].reason}`);
        await session.send('Storage.overrideQuotaForOrigin', { origin });
        await click(`Try again ${name}`);
    }
    const signIn = ({ downloads }) => downloads[name]?.reason?.includes('ask for a sign-in');
    await untilState('a page in place of the file is told', signIn);
    await click(`Try again ${name}`);

    // The first connection breaks, and the second one stops in the middle.
    const half = Math.floor(hub.size / 2);
    await untilState('half of the file is here', ({ downloads }) => downloads[name]?.progress?.done > half, 20);
    await click('Pause the download');
    await status('paused');
    await page.reload();
    await ready();
    await status('paused');
    expect(!(place in (await kept())), 'what is not complete does not have its final name');
    await chord('Control', 'm');
    await click('Get models');
    await click(`Go on ${name}`);
    await status('done');
    const [first, second, third, fourth, ...more] = hub.starts;
    expect(first === 0 && second > 0 && third > half && fourth === 0 && more.length === 0, `the file came in pieces, and again after a wrong byte: ${hub.starts}`);
    const files = await kept();
    expect(files[place] === hub.sha256 && !(`${place}.part` in files), `the right file is kept: ${JSON.stringify(files)}`);
    log(`a model was downloaded over ${session ? 'a full disk, ' : ''}a page to sign in, a broken connection, a pause, a reload and a wrong byte`);

    hub.replace();
    hub.faults.push('hold');
    await ask(name);
    await untilState('half of the new version is here', ({ downloads }) => downloads[name]?.progress?.done > half, 20);
    await click('Pause the download');
    await status('paused');
    expect(`${place}.part` in (await kept()), 'the part of the new version is kept');
    await click('Delete what came');
    await status('done');
    const left = await kept();
    expect(Object.keys(left).sort().join() === Object.keys(files).sort().join(), `no part is left: ${JSON.stringify(left)}`);
    expect(Object.keys(left).every((path) => left[path] === files[path]), 'the old version and its record are as before');
    log('a new version of the same size was paused and cancelled, and the old one stayed');
    await chord('Control', 'm');
    hub.close();
}

// After a reload, without a network.
async function downloadedModel() {
    const path = `${REPO}/${FILE}`;
    await untilState('the downloaded model is listed', ({ models }) => models.some(([known, bytes]) => known === path && bytes === hub.size));
    await chord('Control', 'm');
    // The list moves while the memory of each model is being computed.
    await click(`Use ${FILE}`, 1000);
    await untilState('the downloaded model is ready', ({ model }) => model.status === 'ready' && model.name !== 'Guide', 120);
    await send('What is a GGUF file?');
    await untilState('the downloaded model answers', ({ messages }) => messages.at(-1)?.text.length > 20, 120);
    await page.keyboard.press('Escape');
    await idle();
    await chord('Control', 'm');
    await click(`Delete ${FILE}`);
    await click(`Delete the file of ${FILE}`);
    await untilState('the model is not listed', ({ models }) => models.every(([known]) => known !== path));
    expect(Object.keys(await kept()).length === 0, 'nothing is left in the browser');
    log('the downloaded model was listed after a reload, answered and was deleted');
    await chord('Control', 'm');
}

// Exports the open chat, whose file must contain `text`.
async function exportChat(text) {
    if (browserName === 'chrome') {
        const session = await page.createCDPSession();
        await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
    }
    await chord('Control', 'e');
    await untilState('the name of the export is asked for', (now) => now.dialog);
    // The field has the focus one frame after the dialog opens.
    await nextFrame();
    await page.keyboard.press('Enter');
    const file = path.join(folder, 'What is Lapidary.md');
    await until('the export is downloaded', () => fs.existsSync(file) && fs.readFileSync(file, 'utf8').includes(text));
    fs.rmSync(file);
    log('an export is downloaded');
}

async function withoutNetwork() {
    await until('the page is kept', () => page.evaluate(async () => (await navigator.serviceWorker.ready).active?.state === 'activated'));
    server.kill();
    await page.reload();
    await ready();
    log('the page opens while its server is gone');
    await downloadedModel();
    await serve(site, serverProgram);
}

async function withoutWebGpu() {
    await openPage(() => page.evaluateOnNewDocument(() => Object.defineProperty(navigator, 'gpu', { value: undefined })));
    await says('needs WebGPU');
    await page.close();
    log('a browser without WebGPU is told so');
}

// What the browser does not keep can be exported.
async function withoutStorage() {
    const deny = () => {
        Object.defineProperty(globalThis, 'indexedDB', { value: undefined });
        LockManager.prototype.request = () => Promise.reject(new Error('denied'));
    };
    await openPage(() => page.evaluateOnNewDocument(deny));
    await untilState('a model is ready', (now) => now.model.status === 'ready' && !now.saved, 120);
    await send(QUESTION);
    await untilState('the reply begins', (now) => now.messages[1]?.text.length > 0, 120);
    await page.keyboard.press('Escape');
    const now = await idle();
    await exportChat(now.messages[1].text.trim());
    await page.close();
    log('a browser that keeps no chats lets them be exported');
}

async function pictures() {
    await startBrowser(browserName, executablePath, folder, [...COMPUTES, ...DRAWS]);
    await openPage();
    await ready();
    await picture('first');
    await openChat(QUESTION, 8);
    await picture('chat');
    const { formulasAndCode } = await state();
    await openChat('Formulas', 2);
    await untilState('formulas and code are drawn', (now) => now.formulasAndCode === formulasAndCode + 3, 60);
    await picture('formulas');
    // Firefox lets no test choose it.
    if (browserName === 'chrome') await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await chord('Control', 'm');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await picture('models-dark');
    await click('Get models');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await picture('get-models-dark');
    log(`the page draws; pictures are in ${folder}`);
}

try {
    await serve(site, serverProgram);
    await startBrowser(browserName, executablePath, folder, COMPUTES);
    await withoutWebGpu();
    await withoutStorage();
    await chats();
    await sandbox();
    await modelFromDisk();
    await exportChat(answer);
    await downloads();
    await withoutNetwork();
    await pictures();
} catch (error) {
    await page?.screenshot({ path: path.join(folder, 'failed.png') }).catch(() => {});
    console.error(error);
    process.exitCode = 1;
} finally {
    await browser?.close();
    server?.kill();
    hub?.close();
}
