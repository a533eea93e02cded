module awsenv.invalid/clients

go 1.24
