// check-package.mjs PACKAGE CHROMIUM FOLDER: drives Chromium over the package for web developers in PACKAGE, and over its example.
// FOLDER holds what the program answers to the question below, `answer.txt`, and the guide as a file, `guide.gguf`.
// tests/scripts/check-page.sh makes all that, and installs the npm package `puppeteer-core`.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import { tests } from './package-tests.mjs';
import { COMPUTES, expect, log } from './page-driver.mjs';

const [built, executablePath, folder] = process.argv.slice(2);
const QUESTION = 'What is Lapidary?';
const answer = fs.readFileSync(path.join(folder, 'answer.txt'), 'utf8').trim();
const gguf = path.join(folder, 'guide.gguf');

// What a worker does before its own script, by the folder that it is loaded from.
const BEFORE = {
    '/package/': '',
    '/no-gpu/': "Object.defineProperty(navigator, 'gpu', { value: undefined });",
    // Rust panics where it needs the time: for tuning, of which nothing must be remembered.
    '/panics/': `Object.defineProperty(globalThis, 'performance', { value: undefined });
        Object.defineProperty(globalThis, 'caches', { value: undefined });`,
    // A GPU that multiplies matrices in one format wrongly: sums begin with 1.
    '/wrong/': `const create = GPUDevice.prototype.createShaderModule;
        GPUDevice.prototype.createShaderModule = function (module) {
            const code = module.label === 'matvec.q4_0' ? module.code.replace('vec4<f32>(0.0)', 'vec4<f32>(1.0)') : module.code;
            return create.call(this, { ...module, code });
        };`,
};

const KINDS = { html: 'text/html; charset=utf-8', js: 'text/javascript', wasm: 'application/wasm', json: 'application/json' };
// Files that a test asked for once.
const asked = new Set();

// Serves the package at several addresses, and the guide as different servers would.
function serve(request, response) {
    const { pathname, search } = new URL(request.url, 'http://x');
    const [, place, ...rest] = pathname.split('/');
    const name = rest.join('/');
    const headers = { 'content-type': KINDS[name.split('.').at(-1)] ?? 'application/octet-stream', 'access-control-allow-origin': '*' };
    const end = (status, body, more = {}) => response.writeHead(status, { ...headers, 'content-length': body.length, ...more }).end(body);
    if (place === '') return end(200, '<!doctype html><title>test</title>', { 'content-type': KINDS.html });
    const read = (file) => (fs.existsSync(file) && fs.statSync(file).isFile() ? fs.readFileSync(file) : null);
    const isScripts = BEFORE[`/${place}/`] !== undefined;
    let bytes = read(isScripts ? path.join(built, name) : name === 'guide.gguf' ? gguf : path.join(built, 'example', name));
    const lacks = { 'no-wasm': 'lapidary_bg.wasm', 'no-worker': 'worker.js' }[place];
    if (lacks) bytes = name === lacks ? null : read(path.join(built, name));
    if (place === 'private' && search !== '?token=secret') return end(403, '');
    // The index of a folder that names a file of another server.
    if (place === 'index' && name.includes('model.safetensors')) bytes = name.endsWith('.json') && Buffer.from(JSON.stringify({ weight_map: { x: '\\\\elsewhere\\x.safetensors' } }));
    if (!bytes) return end(404, '');
    if (isScripts) return end(200, name === 'worker.js' ? BEFORE[`/${place}/`] + bytes : bytes);
    if (place === 'cut') bytes = bytes.subarray(0, bytes.length >> 1);
    if (place === 'flaky' && !asked.has(pathname)) {
        asked.add(pathname);
        return end(503, '');
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!range || lacks || ['whole', 'flaky'].includes(place)) return end(200, bytes);
    const [start, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    const told = place === 'shifted' ? start + 1 : start;
    const part = () => end(206, bytes.subarray(start, last + 1), { 'content-range': `bytes ${told}-${last}/${bytes.length}` });
    if (place === 'slow') setTimeout(part, 500);
    else part();
}

const listen = () =>
    new Promise((resolve) => {
        const server = http.createServer(serve).listen(0, '127.0.0.1', () => resolve(server));
    });

let [server, elsewhere, browser] = [];
try {
    [server, elsewhere] = [await listen(), await listen()];
    const [home, other] = [server, elsewhere].map((one) => `http://127.0.0.1:${one.address().port}`);
    browser = await puppeteer.launch({
        executablePath,
        args: COMPUTES,
        headless: true,
        protocolTimeout: 240_000,
    });
    const open = async (address) => {
        const page = await browser.newPage();
        page.on('pageerror', (error) => log(`the page fails: ${error.message}`));
        await page.goto(home + address);
        return page;
    };
    await tests({ open, log, expect, home, other, gguf, answer, question: QUESTION });
} catch (error) {
    console.error(error);
    process.exitCode = 1;
} finally {
    await browser?.close();
    server?.close();
    elsewhere?.close();
}
