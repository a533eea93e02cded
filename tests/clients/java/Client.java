// SPDX-License-Identifier: ISC
// The AWS SDK for Java 2: works on until it was given as many keys as are
// asked for, and prints each.
import java.util.LinkedHashSet;
import java.util.Set;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.sts.StsClient;

public class Client {
    public static void main(String[] words) throws Exception {
        int wanted = Integer.parseInt(words[0]);
        Set<String> seen = new LinkedHashSet<>();
        try (DefaultCredentialsProvider chain = DefaultCredentialsProvider.builder().build();
             StsClient sts = StsClient.builder().credentialsProvider(chain)
                 .httpClient(UrlConnectionHttpClient.create()).build()) {
            while (seen.size() < wanted) {
                sts.getCallerIdentity();
                String key = chain.resolveCredentials().accessKeyId();
                if (seen.add(key)) {
                    System.out.println(key);
                }
                Thread.sleep(300);
            }
            sts.getCallerIdentity();
        }
    }
}
