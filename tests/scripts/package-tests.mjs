// What check-package.mjs tests.
import fs from 'node:fs';
import path from 'node:path';

// Most replies are cut, because SwiftShader is slow.
const SHORT = { maxTokens: 5 };
const LONG_QUESTION = 'How does attention work in Gemma 2?';
// The kernels that have to agree with their references in Chromium: a variant has all parts of the name.
const HOT = [
    ...['q4_0', 'q4_k', 'bf16'].flatMap((format) => ['matvec', 'matmul', 'matmul_small', 'embed'].map((kernel) => `${kernel}.${format}`)),
    ...['q4_0', 'q4_k'].flatMap((format) => ['matvec_int8', 'norm_matvec_int8'].map((kernel) => `${kernel}.${format}`)),
    ...['q4_0.int8', 'q4_k.int8'].flatMap((format) => ['matvec_rows', 'matmul_registers'].map((kernel) => `${kernel}.${format}`)),
    ...['attention', 'attention_decode', 'attention_merge', 'rms_norm', 'add_rms_norm', 'rope', 'geglu', 'quantize'],
    ...['logits', 'argmax', 'argmax_merge', 'shortlist', 'sample'],
];

// Functions that run in the page.
function helpers() {
    globalThis.all = async (pieces) => {
        const list = [];
        for await (const piece of pieces) list.push(piece);
        return { ...list.at(-1), text: list.map(({ text }) => text).join(''), all: list };
    };
    // What an error says, or what came in its place.
    globalThis.failure = async (work) => {
        try {
            return { code: 'none', message: JSON.stringify((await work()) ?? null) };
        } catch (error) {
            return { code: error.code, message: error.message, status: error.status, isOurs: error instanceof lapidary.LapidaryError };
        }
    };
    globalThis.ask = (content, options) => engine.chat([{ role: 'user', content }], { temperature: 0, ...options });
    globalThis.pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
}

// Waits until a condition holds.
async function until(condition, what) {
    const end = Date.now() + 10_000;
    while (!(await condition())) {
        if (Date.now() > end) throw new Error(`after 10 s still not: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

export async function tests({ open, log, expect, home, other, gguf, answer, question }) {
    const page = await open('/');
    await page.evaluate(helpers);
    await page.evaluate(async (at) => (globalThis.lapidary = await import(at)), `${home}/package/index.js`);
    const say = (what, options) => page.evaluate((what, options) => all(ask(what, options)), what, options);
    const fails = async (what, code, work) => {
        const found = await page.evaluate(`failure(${work})`);
        expect(found.code === code && found.isOurs && found.message.length > 15, `${what} fails with ${code}: ${JSON.stringify(found)}`);
        return found;
    };

    // Loading from a server with ranges.
    const load = await page.evaluate(async () => {
        const progress = [];
        globalThis.engine = await lapidary.Engine.load('/ranges/guide/', { context: 512, onProgress: (step) => progress.push(step) });
        return { progress, info: engine.info };
    });
    const last = load.progress.at(-1);
    expect(last.phase === 'load' && last.done === last.total && last.total > 1e6, `the progress ends at its total: ${JSON.stringify(last)}`);
    expect(load.progress.every((step, i) => i === 0 || step.done >= load.progress[i - 1].done), 'the progress grows');
    expect(load.info.context === 512 && load.info.chatTemplate === 'gemma' && load.info.gpu.vendor, `the info is whole: ${JSON.stringify(load.info)}`);
    log(`the guide is loaded by ranges: ${JSON.stringify(load.info)}`);

    const started = Date.now();
    let reply = await say(question);
    expect(reply.text === answer, `the reply is that of the program: ${reply.text}`);
    const count = reply.all.flatMap(({ tokens }) => tokens).length;
    expect(reply.finish === 'stop' && reply.usage.tokens === count && reply.usage.promptTokens > 3, `the last piece says the end: ${JSON.stringify(reply.all.at(-1))}`);
    expect(reply.all.length > 3 && reply.all.slice(0, -1).every(({ text, finish }) => text && !finish), 'the text comes in pieces');
    log(`it answers as it does in the program: ${count} tokens in ${Date.now() - started} ms`);

    reply = await page.evaluate((what) => all(ask(what, { logprobs: 3, maxTokens: 10 })), question);
    const scored = reply.all.flatMap(({ logprobs }) => logprobs);
    expect(answer.startsWith(reply.text) && scored.length === 10, `every token has a log-probability: ${scored.length} of 10`);
    for (const { id, logprob, top } of scored) {
        const falls = top.every((token, i) => token.logprob <= 0 && (i === 0 || token.logprob <= top[i - 1].logprob));
        expect(top.length === 3 && falls && top[0].id === id && logprob === top[0].logprob && logprob > -20, `the greedy token is the likeliest: ${JSON.stringify(top)}`);
    }
    const total = scored.map(({ top }) => top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0));
    expect(total.every((sum) => sum > 0.1 && sum < 1.0001), `probabilities sum to 1 at most: ${Math.max(...total)}`);
    log('log-probabilities are those of likely tokens');

    const sampled = await page.evaluate(async (what) => {
        const one = (seed) => all(ask(what, { temperature: 2, topK: 0, topP: 1, seed, maxTokens: 3 }));
        return [await one(7), await one(7), await one(8)];
    }, question);
    expect(sampled[0].text === sampled[1].text && sampled[0].text !== sampled[2].text, `a seed decides: ${sampled.map(({ text }) => text)}`);
    expect(sampled[0].finish === 'max_tokens' && sampled[0].usage.tokens === 3, `a limit ends the reply: ${JSON.stringify(sampled[0].usage)}`);
    const word = answer.split(' ')[3];
    reply = await page.evaluate((what, stop) => all(ask(what, { stop })), question, word);
    expect(reply.text === answer.slice(0, answer.indexOf(word)) && reply.finish === 'stop', `a stop text ends the reply: ${reply.text}`);
    reply = await page.evaluate(() => all(engine.generate('\ud800Lapidary is', { temperature: 0, maxTokens: 5, stop: null })));
    expect(reply.usage.tokens <= 5 && reply.text.length > 0, `a text with half a surrogate pair is continued: ${JSON.stringify(reply)}`);
    log('seeds, limits, stop texts and plain texts work');

    await stopping({ page, expect, question, answer, fails });
    log('a reply is stopped by leaving the loop and by a signal, and a second one waits');

    const wrong = (what, work, code = 'bad_argument') => fails(what, code, work);
    await wrong('a text for messages', "() => engine.chat('hello').next()");
    await wrong('no messages', '() => engine.chat([]).next()');
    await wrong('an unknown role', "() => engine.chat([{ role: 'tool', content: 'x' }]).next()");
    await wrong('a system message at the end', "() => engine.chat([{ role: 'user', content: 'x' }, { role: 'system', content: 'x' }]).next()");
    await wrong('two messages of the user', "() => engine.chat([{ role: 'user', content: 'x' }, { role: 'user', content: 'x' }]).next()");
    await wrong('content that is no text', "() => engine.chat([{ role: 'user', content: 5 }]).next()");
    await wrong('a prompt that is no text', '() => engine.generate(5).next()');
    await wrong('messages among the options', "() => engine.generate('x', { messages: [] }).next()");
    await wrong('a prompt among the options', "() => ask('x', { prompt: 'x' }).next()");
    await wrong('options that are no object', "() => engine.generate('x', 5).next()");
    await wrong('an unknown option', "() => ask('x', { max_tokens: 5 }).next()");
    await wrong('a temperature that is a text', "() => ask('x', { temperature: 'hot' }).next()");
    await wrong('a temperature below 0', "() => ask('x', { temperature: -1 }).next()");
    await wrong('a number that is none', "() => ask('x', { maxTokens: NaN }).next()");
    await wrong('an empty stop text', "() => ask('x', { stop: '' }).next()");
    await wrong('a signal that is none', "() => ask('x', { signal: 5 }).next()");
    await wrong('a message that is too long', "() => ask('x '.repeat(20000)).next()", 'context_full');
    const isBeginning = (text) => text.length > 5 && answer.startsWith(text);
    expect(isBeginning((await say(question, SHORT)).text), 'it answers after wrong arguments');
    log('wrong arguments are refused');

    const disposed = await page.evaluate(async (what) => {
        const pieces = ask(what);
        await pieces.next();
        const rest = failure(() => all(pieces));
        engine.dispose();
        engine.dispose();
        return [await rest, await failure(() => all(ask(what)))];
    }, LONG_QUESTION);
    expect(disposed.every(({ code }) => code === 'disposed'), `an engine that is disposed of ends its replies: ${JSON.stringify(disposed)}`);
    await until(() => page.workers().length === 0, 'its worker is gone');
    log('an engine that is disposed of ends its replies');

    await sources({ page, expect, fails, other, log });
    await failures({ page, expect, log });
    await kernels({ page, expect, fails, log });
    await page.close();
    await example({ open, expect, gguf, question, answer, log });
}

async function stopping({ page, expect, question, answer, fails }) {
    const [worker] = page.workers();
    await worker.evaluate(() => {
        const submit = GPUQueue.prototype.submit;
        globalThis.submits = 0;
        GPUQueue.prototype.submit = function (commands) {
            globalThis.submits++;
            return submit.call(this, commands);
        };
    });
    const submits = () => worker.evaluate(() => globalThis.submits);
    const before = await submits();
    const text = await page.evaluate(async (what) => {
        let text = '';
        for await (const piece of ask(what)) {
            text += piece.text;
            if (text.length > 10) break;
        }
        return text;
    }, LONG_QUESTION);
    const after = await submits();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const later = await submits();
    expect(after - before > 3 && later - after <= 3, `leaving the loop (${text}) stops the reply: ${before}, ${after}, ${later} submits`);
    const { aborted, next, both } = await page.evaluate(
        async (long, what, short) => {
            const stop = new AbortController();
            const aborted = await failure(async () => {
                for await (const piece of ask(long, { signal: stop.signal })) if (piece.text) stop.abort();
            });
            const next = await all(ask(what, short));
            // The order in which pieces of two replies come.
            const order = [];
            const one = async (name) => {
                let text = '';
                for await (const piece of ask(what, short)) {
                    order.push(name);
                    text += piece.text;
                }
                return text;
            };
            return { aborted, next, both: { texts: await Promise.all([one('a'), one('b')]), order: order.join('') } };
        },
        LONG_QUESTION,
        question,
        SHORT,
    );
    expect(aborted.code === 'aborted' && aborted.isOurs, `a signal stops the reply: ${JSON.stringify(aborted)}`);
    const isBeginning = (text) => text.length > 5 && answer.startsWith(text);
    expect(isBeginning(next.text), `the next reply is right: ${next.text}`);
    expect(both.texts.every(isBeginning) && /^a+b+$/.test(both.order), `a second request waits: ${both.order}`);
    const isOver = await page.evaluate(async () => {
        const reply = ask('x', { signal: null });
        const { done } = await reply.next();
        await reply.return();
        return done;
    });
    expect(isOver === false, 'null is no signal');
    await fails('a signal that was given before', 'aborted', "() => ask('x', { signal: AbortSignal.abort() }).next()");
}

// Where models come from.
async function sources({ page, expect, fails, other, log }) {
    // A model that is on the GPU needs no more of its file. What comes then takes long on SwiftShader.
    await page.evaluate(() => {
        globalThis.upload = async (source) => {
            const stop = new AbortController();
            const steps = [];
            const onProgress = (step) => {
                steps.push(step);
                if (step.phase === 'load' && step.done === step.total) stop.abort();
            };
            const { code } = await failure(() => lapidary.Engine.load(source, { onProgress, signal: stop.signal }));
            return { code, first: steps[0] };
        };
    });
    const whole = await page.evaluate(() => upload('/flaky/guide.gguf'));
    expect(whole.code === 'aborted' && whole.first.phase === 'download', `a server without ranges that fails once gives the model: ${JSON.stringify(whole)}`);
    const kept = await page.evaluate(async () => {
        const folder = await navigator.storage.getDirectory();
        const file = await folder.getFileHandle('guide.gguf', { create: true });
        await (await fetch('/whole/guide.gguf')).body.pipeTo(await file.createWritable());
        return upload(file);
    });
    expect(kept.code === 'aborted' && kept.first.phase === 'load', `a file of the browser's own file system gives the model: ${JSON.stringify(kept)}`);
    log('models come from a server without ranges and from the browser’s own file system');

    const loading = (source, options = '{}') => `() => lapidary.Engine.load(${source}, ${options})`;
    const missing = await fails('an address without a file', 'http', loading("'/ranges/none.gguf'"));
    expect(missing.status === 404, `it tells the status: ${JSON.stringify(missing)}`);
    await fails('a folder without a model', 'http', loading("'/ranges/none/'"));
    const secret = await fails('a folder without a model that needs a token', 'http', loading("'/private/none/?token=secret'"));
    expect(secret.status === 404 && secret.message.includes('/none/') && !secret.message.includes('secret'), `the query is sent but not shown: ${JSON.stringify(secret)}`);
    await fails('an index that names a file of another server', 'bad_model', loading("'/index/guide/'"));
    await fails('a server that sends another range', 'read', loading("'/shifted/guide.gguf'"));
    await fails('two files without names', 'bad_argument', loading("[new Blob(['a']), new Blob(['b'])]"));
    await fails('a source that cannot be sent', 'bad_argument', loading("{ kind: 'file', getFile: () => null }"));
    const cut = await fails('a file that is cut off', 'bad_model', loading("'/cut/guide.gguf'"));
    expect(cut.message.includes('guide.gguf'), `it names the file: ${cut.message}`);
    await fails('a file that is cut off on the disk', 'bad_model', "async () => lapidary.Engine.load((await (await fetch('/whole/guide.gguf')).blob()).slice(0, 3000000))");
    await fails('a text', 'bad_model', loading("new Blob(['Once upon a time'])"));
    await fails('an empty file', 'bad_model', loading('new Blob([])'));
    await fails('a number', 'bad_argument', loading('42'));
    await fails('an empty list', 'bad_argument', loading('[]'));
    await fails('an address that is none', 'bad_argument', loading("'http://['"));
    await fails('an unknown format of weights', 'bad_argument', loading("'/ranges/guide.gguf'", "{ weights: 'q9' }"));
    await fails('a context beyond the model', 'bad_argument', loading("'/ranges/guide.gguf'", '{ context: 1e6 }'));
    await fails('an unknown option', 'bad_argument', loading("'/ranges/guide.gguf'", '{ model: 1 }'));
    await fails('a server that hides the size', 'no_ranges', loading(`'${other}/ranges/guide.gguf'`));
    await fails('a server that is not there', 'network', loading("'http://127.0.0.1:1/guide.gguf'"));
    await fails('a load that was aborted before', 'aborted', loading("'/ranges/guide.gguf'", '{ signal: AbortSignal.abort() }'));
    const { ms, ...aborted } = await page.evaluate(async () => {
        const stop = new AbortController();
        const load = failure(() => lapidary.Engine.load('/slow/guide/', { signal: stop.signal }));
        await pause(700);
        const now = performance.now();
        stop.abort();
        return { ...(await load), ms: performance.now() - now };
    });
    expect(aborted.code === 'aborted' && ms < 200, `a load is aborted at once: ${JSON.stringify(aborted)} after ${ms} ms`);
    await until(() => page.workers().length === 0, 'a load that failed leaves no worker');
    log(`what is no model is refused: ${cut.message}`);
}

// The engine or what it needs fails.
async function failures({ page, expect, log }) {
    const load = (place) => page.evaluate(async (at) => {
        const { Engine } = await import(at);
        try {
            await Engine.load('/ranges/guide.gguf');
        } catch (error) {
            return [error.code, error.message];
        }
        return ['none', ''];
    }, `/${place}/index.js`);
    const [noGpu, why] = await load('no-gpu');
    expect(noGpu === 'no_webgpu' && why.includes('WebGPU'), `a browser without WebGPU is told so: ${why}`);
    for (const [place, file] of [['no-wasm', 'lapidary_bg.wasm'], ['no-worker', 'worker.js']]) {
        const [code, reason] = await load(place);
        expect(code === 'internal' && reason.includes(file), `the package lacks ${file}: ${code}, ${reason}`);
    }
    const [panics, panic] = await load('panics');
    expect(panics === 'internal' && panic.includes('panicked'), `a panic ends the load: ${panics}, ${panic}`);
    await until(() => page.workers().length === 0, 'a load that failed leaves no worker');
    await page.evaluate(() => {
        globalThis.checking = failure(() => new Promise((resolve, reject) => lapidary.check({ onProgress: resolve }).catch(reject)));
    });
    await until(() => page.workers().length === 1, 'a check has a worker');
    // A worker that is just being made has no WebGPU yet.
    await until(() => page.workers()[0].evaluate(() => 'GPUQueue' in globalThis).catch(() => false), 'the worker has started');
    await page.workers()[0].evaluate(() => {
        GPUQueue.prototype.submit = () => {
            throw new Error('this test breaks it');
        };
    });
    const failed = await page.evaluate(() => checking);
    expect(failed.code === 'internal' && failed.isOurs, `an engine that fails ends what waits: ${JSON.stringify(failed)}`);
    await until(() => page.workers().length === 0, 'an engine that failed leaves no worker');
    log(`failures of the engine end what waits: ${failed.message}`);
}

async function kernels({ page, expect, fails, log }) {
    const started = Date.now();
    const report = await page.evaluate(async () => {
        const progress = [];
        const onProgress = (step) => progress.push(step);
        const formats = ['q4_0', 'q4_k', 'bf16'];
        const report = await lapidary.check({ formats, quick: true, repeats: 1, hardwareKernels: true, onProgress });
        return { ...report, last: progress.at(-1) };
    });
    expect(report.ok && !report.fault, `the kernels agree with their references: ${JSON.stringify(report.fault)}`);
    expect(report.last.done === report.last.total, 'the check tells its progress');
    const has = (variant, name) => name.split('.').every((part) => variant.split('.').includes(part));
    const missing = HOT.filter((name) => !report.variants.some((variant) => has(variant, name)));
    expect(missing.length === 0, `these kernels are compared: ${missing}; there are ${report.variants.join(' ')}`);
    log(`${report.dispatches} dispatches of ${report.variants.length} variants agree with the references, after ${Date.now() - started} ms`);
    const { ok, fault } = await page.evaluate(async () => (await import('/wrong/index.js')).check({ formats: ['q4_0'], repeats: 1 }));
    expect(!ok && fault.kernel === 'matvec' && fault.variant === 'matvec.q4_0', `a GPU that multiplies wrongly is found: ${JSON.stringify(fault)}`);
    log(`a wrong kernel is named: ${fault.variant}: ${fault.error}`);
    await fails('an unknown format', 'bad_argument', "() => lapidary.check({ formats: ['q9'] })");
    await fails('a check of nothing', 'bad_argument', '() => lapidary.check({ formats: [] })');
    await fails('a check that is aborted', 'aborted', '() => lapidary.check({ signal: AbortSignal.timeout(300) })');
}

async function example({ open, expect, gguf, question, answer, log }) {
    const page = await open('/package/example/index.html');
    const shows = (selector, text) =>
        page.waitForFunction((selector, text) => [...document.querySelectorAll(selector)].at(-1)?.textContent.includes(text), { timeout: 60_000 }, selector, text);
    const isIdle = () => page.waitForFunction(() => document.querySelector('#stop').disabled && !document.querySelector('#send').disabled, { timeout: 60_000 });
    const ask = async (text) => {
        await page.type('#question', text);
        await page.keyboard.press('Enter');
    };
    // The same model with another name in the file, of the same length.
    const file = path.join(path.dirname(gguf), 'other.gguf');
    const bytes = fs.readFileSync(gguf);
    const key = 'general.name';
    // After the key come a kind of 4 bytes and a length of 8.
    const at = bytes.indexOf(key) + key.length + 12;
    expect(bytes.toString('latin1', at, at + 5) === 'guide', 'the name of the model is found');
    bytes.write('other', at);
    fs.writeFileSync(file, bytes);
    // A load that is under way ends when another begins.
    await page.click('#guide');
    await shows('#status', 'Loading: 100');
    await (await page.$('#file')).uploadFile(file);
    await shows('#status', 'other is ready');
    await until(() => page.workers().length === 1, 'the load of the guide is over');
    await ask(question);
    await page.waitForFunction(() => document.querySelector('#log .assistant').textContent.length > 40, { timeout: 60_000 });
    await page.click('#stop');
    await isIdle();
    const reply = await page.$eval('#log .assistant', (line) => line.textContent);
    expect(answer.startsWith(reply) && reply.length < answer.length, `the model of the file answers until it is stopped: ${reply}`);
    // Another load ends a reply, and begins anew.
    await ask(LONG_QUESTION);
    await page.waitForFunction(() => [...document.querySelectorAll('#log .assistant')].at(-1).textContent.length > 5, { timeout: 60_000 });
    const isClosed = await page.evaluate(async () => {
        document.querySelector('#guide').click();
        await new Promise((resolve) => setTimeout(resolve, 50));
        return document.querySelector('#send').disabled && document.querySelector('#log').childElementCount === 0;
    });
    expect(isClosed, 'no message is sent during a load');
    await shows('#status', 'guide is ready');
    await ask(question);
    await page.waitForFunction(() => document.querySelector('#log .assistant').textContent.length > 5, { timeout: 60_000 });
    expect(answer.startsWith(await page.$eval('#log .assistant', (line) => line.textContent)), 'the model that was chosen during a reply answers');
    log('the example loads a file in place of the guide, answers, stops, and loads again while a reply grows');
    await page.close();
}
