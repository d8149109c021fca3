// The service worker of the page: keeps the page's files, so that it opens without a network. The build fills in the two lines.
// Several of these pages can be at one origin.
const PREFIX = `lapidary ${registration.scope} `;
const VERSION = PREFIX + 'VERSION';
const FILES = ['FILES'];

// Past the browser's own cache, which may still have files of an older version.
const requests = () => FILES.map((file) => new Request(file, { cache: 'reload' }));

// A new version is fetched beside the one in use, and takes its place when no tab shows the old one any more, so that the files of
// two versions never meet.
addEventListener('install', (event) => event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(requests()))));

addEventListener('activate', (event) => {
    const others = (names) => names.filter((name) => name.startsWith(PREFIX) && name !== VERSION);
    event.waitUntil(caches.keys().then((names) => Promise.all(others(names).map((name) => caches.delete(name)))));
});

addEventListener('fetch', (event) => {
    // Models come from elsewhere, and are kept elsewhere.
    if (new URL(event.request.url).origin !== location.origin) return;
    const kept = caches.open(VERSION).then((cache) => cache.match(event.request, { ignoreSearch: true }));
    event.respondWith(kept.then((response) => response ?? fetch(event.request)));
});
