#!/bin/sh
# Makes novnc-*.js, xterm-*.js and xterm-*.css anew from the published packages. Only for changing their versions:
# building onet needs neither npm nor the network. Run it from anywhere; it writes beside itself.
set -eu
novnc=1.7.0 xterm=6.0.0 fit=0.11.0 esbuild=0.28.2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "@novnc/novnc@$novnc" "@xterm/xterm@$xterm" "@xterm/addon-fit@$fit"
for package in novnc-novnc-$novnc xterm-xterm-$xterm xterm-addon-fit-$fit; do
    mkdir "$package" && tar -xzf "$package.tgz" -C "$package"
done
npm install --silent --no-save "esbuild@$esbuild"
# Screens are shown without RFB's own authentication: its ciphers stay out.
core=novnc-novnc-$novnc/package/core
echo 'export default {};' > "$core/crypto/crypto.js"
echo 'export default class RSAAESAuthenticationState { }' > "$core/ra2.js"
cat > novnc.js <<EOF
export { default as RFB } from "./$core/rfb.js";
export { default as keysyms } from "./$core/input/keysymdef.js";
EOF
cat > xterm.js <<EOF
export { Terminal } from "./xterm-xterm-$xterm/package/lib/xterm.mjs";
export { FitAddon } from "./xterm-addon-fit-$fit/package/lib/addon-fit.mjs";
EOF
bundle() {
    npx esbuild "$1.js" --bundle --minify --format=esm --target=es2022 --legal-comments=none --log-level=warning \
        --banner:js="/*! $3 Sources: see README.md */" --outfile="$here/$1-$2.js"
}
bundle novnc "$novnc" "noVNC $novnc, (C) the noVNC authors, MPL-2.0; with pako, MIT."
bundle xterm "$xterm" "xterm.js $xterm and addon-fit $fit, (C) the xterm.js authors, MIT."
cp "xterm-xterm-$xterm/package/css/xterm.css" "$here/xterm-$xterm.css"
