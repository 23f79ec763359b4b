module sealpost.example/receiver

go 1.19
