// SPDX-License-Identifier: ISC
//! The AWS SDK for Rust: works on until it was given as many keys as are asked
//! for, and prints each.
use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: usize = std::env::args().nth(1).unwrap().parse()?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let sts = aws_sdk_sts::Client::new(&config);
    let provider = config.credentials_provider().unwrap();
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < wanted {
        sts.get_caller_identity().send().await?;
        let key = provider.provide_credentials().await?.access_key_id().to_string();
        if !seen.contains(&key) {
            println!("{key}");
            seen.push(key);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    sts.get_caller_identity().send().await?;
    Ok(())
}
