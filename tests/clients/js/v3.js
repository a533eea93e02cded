// SPDX-License-Identifier: ISC
// The AWS SDK for JavaScript 3: works on until it was given as many keys as are
// asked for, and prints each.
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");

(async () => {
    const wanted = Number(process.argv[2]), seen = new Set();
    const sts = new STSClient({});
    while (seen.size < wanted) {
        await sts.send(new GetCallerIdentityCommand({}));
        const key = (await sts.config.credentials()).accessKeyId;
        if (!seen.has(key))
            console.log(key);
        seen.add(key);
        await new Promise((done) => setTimeout(done, 300));
    }
    await sts.send(new GetCallerIdentityCommand({}));
})();
