// Files of the user's disk.

// Opens the browser's dialog. `endings` are those that it proposes. Gives the file, or null if none was chosen.
export function choose(endings) {
    return new Promise((resolve) => {
        const input = document.createElement('input');
        input.type = 'file';
        input.accept = endings;
        input.style.display = 'none';
        const done = () => {
            input.remove();
            resolve(input.files[0] ?? null);
        };
        input.onchange = done;
        input.oncancel = done;
        document.body.append(input);
        input.click();
    });
}

// Lets the browser download a text as a file.
export function save(name, text) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text]));
    link.download = name;
    link.click();
    // The download has begun by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
