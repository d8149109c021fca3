#!/usr/bin/env bash
# Makes a package of a built program. Needs no other tools than these: dpkg-deb for deb, appimagetool in PATH for appimage.
#   package.sh deb PROGRAM FOLDER         writes FOLDER/lapidary_VERSION_ARCHITECTURE.deb
#   package.sh appimage PROGRAM FOLDER    writes FOLDER/Lapidary-VERSION-MACHINE.AppImage, which starts with the program in
#                                         $APPIMAGE_RUNTIME_FILE if that is set, else with one that appimagetool downloads
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.." && pwd -P)
if [ $# -ne 3 ]; then
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
kind=$1 program=$(readlink -f "$2") out=$3
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
version=$("$program" --version | cut -d ' ' -f 2)

# stage PREFIX: the files of every package.
stage() {
    local prefix=$1 share=$1/share
    install -Dm755 "$program" "$prefix/bin/lapidary"
    # A program with debugging symbols is several times as large.
    ! command -v strip >/dev/null || strip "$prefix/bin/lapidary"
    "$program" desktop files "$share"
    "$program" man --out "$share/man/man1"
    gzip -9n "$share"/man/man1/*.1
    mkdir -p "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
    "$program" completions bash >"$share/bash-completion/completions/lapidary"
    "$program" completions zsh >"$share/zsh/vendor-completions/_lapidary"
    "$program" completions fish >"$share/fish/vendor_completions.d/lapidary.fish"
    install -Dm644 "$root"/LICENSE-MIT "$root"/LICENSE-APACHE -t "$share/doc/lapidary"
}

make_deb() {
    local package=$scratch/package architecture glibc
    stage "$package/usr"
    cat >"$package/usr/share/doc/lapidary/copyright" <<-END
		Lapidary is under the MIT licence (LICENSE-MIT) or the Apache License 2.0 (LICENSE-APACHE), as you like. Both are in
		this folder.
	END
    architecture=$(dpkg --print-architecture)
    # The newest symbols of the C library that the program uses.
    glibc=$(grep -ao 'GLIBC_2\.[0-9]*' "$package/usr/bin/lapidary" | sed 's/GLIBC_//' | sort -uV | tail -n 1)
    mkdir "$package/DEBIAN"
    # The recommended libraries are loaded by name when a window opens. A chat in a terminal needs only a Vulkan driver.
    cat >"$package/DEBIAN/control" <<-END
		Package: lapidary
		Version: $version
		Architecture: $architecture
		Maintainer: The Lapidary developers <lapidary@localhost>
		Section: utils
		Priority: optional
		Installed-Size: $(du -sk "$package/usr" | cut -f 1)
		Depends: libc6 (>= $glibc), libgcc-s1, libvulkan1
		Recommends: mesa-vulkan-drivers, libwayland-client0, libx11-6, libx11-xcb1, libxcursor1, libxi6, libxkbcommon0, libxkbcommon-x11-0, libxrandr2
		Description: Chat with Gemma on your own GPU
		 Lapidary runs Google's Gemma-2 models, and the text models of Gemma 3, on the
		 graphics card through Vulkan. It has a window and a command line. Models are
		 .gguf files or Hugging Face folders; a small one is built in.
	END
    dpkg-deb --root-owner-group --build "$package" "$out/lapidary_${version}_$architecture.deb" >/dev/null
    printf '%s\n' "$out/lapidary_${version}_$architecture.deb"
}

make_appimage() {
    local folder=$scratch/Lapidary.AppDir file
    file=$out/Lapidary-$version-$(uname -m).AppImage
    stage "$folder/usr"
    ln -s usr/bin/lapidary "$folder/AppRun"
    cp "$folder/usr/share/applications/lapidary.desktop" "$folder/usr/share/icons/hicolor/256x256/apps/lapidary.png" "$folder"
    # Without a description in its old place, appimagetool warns.
    (cd "$folder/usr/share/metainfo" && cp ./*.metainfo.xml lapidary.appdata.xml && rm ./*.metainfo.xml)
    appimagetool --no-appstream ${APPIMAGE_RUNTIME_FILE:+--runtime-file "$APPIMAGE_RUNTIME_FILE"} "$folder" "$file"
    printf '%s\n' "$file"
}

case $kind in
deb) make_deb ;;
appimage) make_appimage ;;
*)
    echo "package.sh: what is $kind? There are deb and appimage" >&2
    exit 2
    ;;
esac
