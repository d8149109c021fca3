#!/usr/bin/env bash
# Makes a disk image with Lapidary.app of a built program. Runs on macOS.
#   package.sh PROGRAM FOLDER    writes FOLDER/Lapidary-VERSION.dmg
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
if [ $# -ne 2 ]; then
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
program=$1 out=$2
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
version=$("$program" --version | cut -d ' ' -f 2)
contents=$scratch/image/Lapidary.app/Contents
mkdir -p "$contents/MacOS" "$contents/Resources"
cp "$program" "$contents/MacOS/lapidary"
sed "s/@VERSION@/$version/" "$here/Info.plist" >"$contents/Info.plist"

# iconutil wants each size under the name of the points it stands for; "@2x" has twice as many pixels.
"$program" desktop files "$scratch/share"
icons=$scratch/lapidary.iconset
mkdir "$icons"
for size in 16 32 128 256; do
    cp "$scratch/share/icons/hicolor/${size}x$size/apps/lapidary.png" "$icons/icon_${size}x$size.png"
    double=$((2 * size))
    cp "$scratch/share/icons/hicolor/${double}x$double/apps/lapidary.png" "$icons/icon_${size}x$size@2x.png"
done
iconutil --convert icns --output "$contents/Resources/lapidary.icns" "$icons"

# Without a paid certificate the app is only signed for this machine's kind, which Apple's processors ask for.
codesign --force --sign - "$scratch/image/Lapidary.app"
ln -s /Applications "$scratch/image/Applications"
hdiutil create -volname Lapidary -srcfolder "$scratch/image" -ov -format UDZO "$out/Lapidary-$version.dmg" >/dev/null
printf '%s\n' "$out/Lapidary-$version.dmg"
