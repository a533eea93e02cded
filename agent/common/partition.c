/* SPDX-License-Identifier: ISC */
#include "awsenv/partition.h"

#include <string.h>

/* A region is PREFIX, a word and a number; the first row is for all others. */
static const struct partition partitions[] = {
    {"aws", {"us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"},
	"amazonaws.com", "api.aws", false, "us-east-1", "signin.aws.amazon.com",
	"console.aws.amazon.com"},
    {"aws-cn", {"cn-"}, "amazonaws.com.cn", "api.amazonwebservices.com.cn",
	false, "cn-north-1", "signin.amazonaws.cn", "console.amazonaws.cn"},
    {"aws-us-gov", {"us-gov-"}, "amazonaws.com", "api.aws", true,
	"us-gov-west-1", "signin.amazonaws-us-gov.com",
	"console.amazonaws-us-gov.com"},
    {"aws-eusc", {"eusc-de-"}, "amazonaws.eu", "api.amazonwebservices.eu",
	false, "", "signin.amazonaws-eusc.eu", "console.amazonaws-eusc.eu"},
    {"aws-iso", {"us-iso-"}, "c2s.ic.gov", "api.aws.ic.gov", false, NULL, NULL,
	NULL},
    {"aws-iso-b", {"us-isob-"}, "sc2s.sgov.gov", "api.aws.scloud", false, NULL,
	NULL, NULL},
    {"aws-iso-e", {"eu-isoe-"}, "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk",
	false, NULL, NULL, NULL},
    {"aws-iso-f", {"us-isof-"}, "csp.hci.ic.gov", "api.aws.hci.ic.gov", false,
	NULL, NULL, NULL},
};

#define N(array) (sizeof(array) / sizeof(*(array)))

/* "east-1" */
static bool
is_word_and_number(const char *p, size_t n)
{
	const char *dash = memchr(p, '-', n), *digit;

	if (!dash || dash == p || dash + 1 == p + n)
		return false;
	for (digit = dash + 1; digit < p + n; digit++) {
		if (*digit < '0' || *digit > '9')
			return false;
	}
	return true;
}

static bool
is_in(struct view region, const char *prefix)
{
	const char *p = (const char *)region.p;
	size_t n = strlen(prefix);

	return region.n > n && memcmp(p, prefix, n) == 0 &&
	    is_word_and_number(p + n, region.n - n);
}

const struct partition *
partition_of(struct view region)
{
	size_t i, j;

	for (i = 0; i < N(partitions); i++) {
		for (j = 0;
		     j < N(partitions[i].prefix) && partitions[i].prefix[j];
		     j++) {
			if (is_in(region, partitions[i].prefix[j]))
				return &partitions[i];
		}
	}
	return &partitions[0];
}
