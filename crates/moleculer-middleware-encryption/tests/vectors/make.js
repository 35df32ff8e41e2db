// Writes packets.json: what the middlewares of Moleculer JS make of packets.
//
//   node make.js <directory with moleculer-0.14 and moleculer-0.15> > packets.json
//
// `npm ci` in tests/interop/node makes such a directory: node_modules. Node.js
// 20 is the last one that 0.14 can encrypt with when it has no iv.

const { resolve } = require("node:path");

const PACKETS = ["", "0123456789abcdef", '{"ver":"5","sender":"node-1"}', "x".repeat(100)];
const PASSWORD = "0123456789abcdef0123456789ABCDEF";
const IV = "fedcba9876543210";
const SIZES = [128, 192, 256];

// What fails has an error instead of packets.
function encrypt(version, password, algorithm, iv) {
    const { Encryption } = require(resolve(process.argv[2], `moleculer-${version}`)).Middlewares.Transmit;
    const options = { password, algorithm, iv };
    try {
        const send = Encryption(password, algorithm, iv).transporterSend((_, bytes) => bytes);
        const sent = PACKETS.map(packet => [packet, send("EVENT", Buffer.from(packet)).toString("base64")]);
        return { version, options, sent };
    } catch (error) {
        return { version, options, error: error.message };
    }
}

const cases = [];
for (const version of ["0.14", "0.15"]) {
    cases.push(encrypt(version, PASSWORD, undefined, IV));
    cases.push(encrypt(version, PASSWORD, undefined, IV.slice(1)));
    cases.push(encrypt(version, ""));
    for (const size of SIZES) {
        for (const mode of ["cbc", "ctr", "ecb"]) {
            const password = PASSWORD.slice(0, size / 8);
            if (mode !== "ecb") cases.push(encrypt(version, password, `aes-${size}-${mode}`, IV));
            cases.push(encrypt(version, password, `aes-${size}-${mode}`));
            cases.push(encrypt(version, "Müller's", `aes-${size}-${mode}`));
        }
    }
}
console.log(`[\n${cases.map(made => JSON.stringify(made)).join(",\n")}\n]`);
