// The chats of a page in IndexedDB. Rows hold JSON as text, except what is searched for by the database or grows.

const done = (request) =>
    new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });

// Opens the database for a connection, which is opened again after the browser has closed it, as it does to free memory.
async function connect(connection) {
    const request = indexedDB.open('lapidary', 1);
    request.onupgradeneeded = () => {
        const database = request.result;
        database.createObjectStore('chats', { keyPath: 'id' });
        database.createObjectStore('messages', { keyPath: 'id' }).createIndex('chat', 'chat');
        database.createObjectStore('attachments', { keyPath: 'chat' });
        database.createObjectStore('values', { keyPath: 'name' });
    };
    const database = await done(request);
    database.onclose = () => {
        connection.opening = null;
    };
    return database;
}

// The database of a connection. All who ask while it is being opened wait for the same one.
function databaseOf(connection) {
    connection.opening ??= connect(connection).catch((error) => {
        connection.opening = null;
        throw error;
    });
    return connection.opening;
}

// Opens the database, and returns the connection that the other functions take.
export async function open() {
    const connection = { opening: null };
    await databaseOf(connection);
    return connection;
}

// Applies writes in one transaction. They are JSON: a list of objects with the field `op`.
export async function write(connection, json) {
    const database = await databaseOf(connection);
    const names = ['chats', 'messages', 'attachments', 'values'];
    const transaction = database.transaction(names, 'readwrite', { durability: 'strict' });
    const end = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error ?? new Error('the browser gave up writing'));
    });
    const [chats, messages, attachments, values] = names.map((name) => transaction.objectStore(name));
    try {
        for (const { op, ...row } of JSON.parse(json)) {
            switch (op) {
                case 'chat':
                    chats.put(row);
                    break;
                case 'message':
                    messages.put(row);
                    break;
                case 'append': {
                    const message = await done(messages.get(row.id));
                    if (message) messages.put({ ...message, text: message.text + row.text });
                    break;
                }
                case 'attachments':
                    attachments.put(row);
                    break;
                case 'value':
                    values.put(row);
                    break;
                case 'forget_message':
                    messages.delete(row.id);
                    break;
                case 'forget':
                    for (const key of await done(messages.index('chat').getAllKeys(row.id))) messages.delete(key);
                    attachments.delete(row.id);
                    chats.delete(row.id);
                    break;
            }
        }
    } catch (error) {
        end.catch(() => {});
        try {
            transaction.abort();
        } catch {
            // The browser gave up before, and says why.
            throw transaction.error ?? error;
        }
        throw error;
    }
    await end;
}

// All chats, the attachments of their drafts, and all values, as JSON.
export async function all(connection) {
    const transaction = (await databaseOf(connection)).transaction(['chats', 'attachments', 'values']);
    const rows = (name) => done(transaction.objectStore(name).getAll());
    const [chats, attachments, values] = await Promise.all([rows('chats'), rows('attachments'), rows('values')]);
    return JSON.stringify({ chats, attachments, values });
}

// The messages of a chat, as JSON.
export async function messages(connection, chat) {
    const index = (await databaseOf(connection)).transaction('messages').objectStore('messages').index('chat');
    return JSON.stringify(await done(index.getAll(chat)));
}

// Resolves after some milliseconds.
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
