// A hub for the test of the page: one repository with one file, which comes from another host, as the real hub's files do, and comes
// badly: see `faults`.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
export const REPO = 'lapidary/guide-gemma-GGUF';
export const GATED = 'lapidary/gated-gemma-GGUF';
export const FILE = 'model.gguf';

// Serves a file. The hub has the fields `address`, `sha256`, `starts`, which gets the first byte that each request for the file asks for, and
// `faults`, of which each such answer takes the first: 'break' ends the connection after a third of the file, 'hold' sends nothing more
// after two thirds, 'wrong' ignores the range and changes the last byte, and 'page' sends a page of HTML in place of the file. `replace`
// puts a new version of the same size in place of the file.
export async function startHub(path, ...faults) {
    const content = fs.readFileSync(path);
    const sha256 = () => crypto.createHash('sha256').update(content).digest('hex');
    const hub = { faults, sha256: sha256(), starts: [], size: content.length };
    hub.replace = () => {
        content[content.length - 1] ^= 1;
        hub.sha256 = sha256();
    };
    const list = (repo) => ({
        sha: COMMIT,
        gated: repo === GATED ? 'manual' : false,
        tags: ['license:gemma'],
        siblings: [{ rfilename: FILE, size: content.length, blobId: COMMIT, lfs: { sha256: hub.sha256, size: content.length } }],
    });
    const server = http.createServer((request, response) => {
        const headers = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Expose-Headers': 'Content-Range' };
        const { pathname } = new URL(request.url, 'http://hub');
        const repo = [REPO, GATED].find((repo) => pathname === `/api/models/${repo}/revision/main`);
        if (request.method === 'OPTIONS') {
            response.writeHead(204, { ...headers, 'Access-Control-Allow-Headers': 'Range' }).end();
        } else if (repo) {
            response.writeHead(200, { ...headers, 'Content-Type': 'application/json' }).end(JSON.stringify(list(repo)));
        } else if (pathname === '/api/models') {
            const found = { id: REPO, downloads: 1234, gated: false, tags: ['gguf'] };
            const fits = new URL(request.url, 'http://hub').searchParams.get('search') === 'guide gemma';
            response.writeHead(200, { ...headers, 'Content-Type': 'application/json' }).end(JSON.stringify(fits ? [found] : []));
        } else if (pathname === `/${REPO}/resolve/${COMMIT}/${FILE}`) {
            response.writeHead(302, { ...headers, Location: `http://localhost:${server.address().port}/file` }).end();
        } else if (pathname === '/file') {
            sendFile(request, response, headers);
        } else {
            response.writeHead(404, headers).end();
        }
    });
    const sendFile = (request, response, headers) => {
        const asked = Number(request.headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
        const fault = hub.faults.shift();
        if (fault === 'page') return response.writeHead(200, { ...headers, 'Content-Type': 'text/html' }).end('<p>Sign in</p>');
        hub.starts.push(asked);
        const start = fault === 'wrong' ? 0 : asked;
        const length = content.length - start;
        const range = start > 0 ? { 'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}` } : {};
        response.writeHead(start > 0 ? 206 : 200, { ...headers, ...range, 'Content-Length': length });
        switch (fault) {
            case 'break':
                response.write(content.subarray(start, content.length / 3));
                // A browser drops what the page has not read when the connection ends.
                setTimeout(() => response.destroy(), 1000);
                break;
            case 'hold':
                // In two pieces, because the page shows progress only ten times a second.
                response.write(content.subarray(start, content.length / 2));
                setTimeout(() => response.write(content.subarray(content.length / 2, (2 * content.length) / 3)), 300);
                break;
            case 'wrong':
                response.write(content.subarray(start, -1));
                response.end(Buffer.from([content.at(-1) ^ 1]));
                break;
            default:
                response.end(content.subarray(start));
        }
    };
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    hub.address = `http://127.0.0.1:${server.address().port}`;
    hub.close = () => {
        server.closeAllConnections();
        server.close();
    };
    return hub;
}
