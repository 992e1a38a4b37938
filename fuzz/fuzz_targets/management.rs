#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tcpctl_fuzz::management::holds(data));
