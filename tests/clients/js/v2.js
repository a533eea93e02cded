// SPDX-License-Identifier: ISC
// The AWS SDK for JavaScript 2: works on until it was given as many keys as are
// asked for, and prints each. It knows no AWS_ENDPOINT_URL.
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const AWS = require("aws-sdk");

(async () => {
    const wanted = Number(process.argv[2]), seen = new Set();
    const sts = new AWS.STS({ endpoint: process.env.AWS_ENDPOINT_URL_STS,
                              region: process.env.AWS_REGION });
    while (seen.size < wanted) {
        await sts.getCallerIdentity().promise();
        const key = sts.config.credentials.accessKeyId;
        if (!seen.has(key))
            console.log(key);
        seen.add(key);
        await new Promise((done) => setTimeout(done, 300));
    }
    await sts.getCallerIdentity().promise();
})().catch((e) => { console.error(e.message); process.exit(1); });
