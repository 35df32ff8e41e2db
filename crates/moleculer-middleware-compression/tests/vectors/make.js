// Writes packets.json: what the middlewares of Moleculer JS make of packets.
//
//   node make.js <directory with moleculer-0.14 and moleculer-0.15> > packets.json
//
// `npm ci` in tests/interop/node makes such a directory: node_modules.

const { resolve } = require("node:path");

const PACKETS = {
    empty: "",
    small: '{"ver":"5","sender":"node-1"}',
    large: JSON.stringify({
        ver: "5",
        sender: "node-1",
        event: "posts.created",
        data: Array.from({ length: 60 }, (_, id) => ({ id, title: `Árvíztűrő ${id}` })),
    }),
};
const OPTIONS = [
    undefined,
    { method: "deflateRaw", threshold: "10" },
    { method: "gzip", threshold: null },
    { method: "deflate", threshold: 0 },
];

async function packet(version, options, name) {
    const path = resolve(process.argv[2], `moleculer-${version}`);
    const { Compression } = require(path).Middlewares.Transmit;
    const middleware = Compression(options);
    const silent = { info() {}, debug() {}, error() {} };
    middleware.created({ getLogger: () => silent });
    const send = middleware.transporterSend((_, bytes) => bytes);
    const bytes = await send("EVENT", Buffer.from(PACKETS[name]), {});
    return { version, options: options ?? {}, packet: PACKETS[name], sent: bytes.toString("base64") };
}

async function main() {
    const packets = [];
    for (const version of ["0.14", "0.15"]) {
        for (const options of OPTIONS) {
            for (const name of Object.keys(PACKETS)) {
                packets.push(await packet(version, options, name));
            }
        }
    }
    const lines = packets.map(packet => JSON.stringify(packet));
    console.log(`[\n${lines.join(",\n")}\n]`);
}

main();
