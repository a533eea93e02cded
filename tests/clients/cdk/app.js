// SPDX-License-Identifier: ISC
// A stack that needs no bootstrapping and no assets.
const { App, CfnWaitConditionHandle, LegacyStackSynthesizer, Stack } =
    require("aws-cdk-lib");

const stack = new Stack(new App(), "Served", {
    synthesizer: new LegacyStackSynthesizer(), analyticsReporting: false,
    env: { account: process.env.CDK_DEFAULT_ACCOUNT,
           region: process.env.CDK_DEFAULT_REGION } });
new CfnWaitConditionHandle(stack, "Nothing");
