// SPDX-License-Identifier: ISC

// The AWS SDK for Go 2, or, with "base" as second word, the library by which
// Terraform and OpenTofu find credentials: works on until it was given as many
// keys as are asked for, and prints each.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	base "github.com/hashicorp/aws-sdk-go-base/v2"
)

func load(ctx context.Context) (aws.Config, error) {
	if len(os.Args) < 3 || os.Args[2] != "base" {
		return config.LoadDefaultConfig(ctx)
	}
	_, c, diags := base.GetAwsConfig(ctx, &base.Config{
		MaxRetries: 3, CallerName: "test", Region: os.Getenv("AWS_REGION"),
		Profile: os.Getenv("AWS_PROFILE")})
	for _, d := range diags {
		if d.Severity() == 1 {
			return c, fmt.Errorf("%s: %s", d.Summary(), d.Detail())
		}
	}
	return c, nil
}

func work(wanted int) error {
	ctx := context.Background()
	c, err := load(ctx)
	if err != nil {
		return err
	}
	client := sts.NewFromConfig(c)
	var seen []string
	for len(seen) < wanted {
		if _, err := client.GetCallerIdentity(ctx, nil); err != nil {
			return err
		}
		keys, err := c.Credentials.Retrieve(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(seen, keys.AccessKeyID) {
			fmt.Println(keys.AccessKeyID)
			seen = append(seen, keys.AccessKeyID)
		}
		time.Sleep(300 * time.Millisecond)
	}
	_, err = client.GetCallerIdentity(ctx, nil)
	return err
}

func main() {
	wanted, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = work(wanted)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
