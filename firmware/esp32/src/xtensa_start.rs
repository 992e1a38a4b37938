//! The entry point on Xtensa, in the place of xtensa-lx-rt's `Reset`.
//!
//! xtensa-lx-rt 0.23 spreads `Reset` over three `global_asm!` blocks, and newer versions of rustc emit
//! several blocks in another order (they sort by symbol, rust-lang/rust#145358): `Reset` then runs into
//! an exception handler. riscv-rt had the same fault (rust-embedded/riscv#321). This one does the same
//! in one block. Delete it, and `xtensa.x`, once xtensa-lx-rt has one block: esp-rs/esp-hal#4117
//! rewrites its start.
#![allow(unsafe_code)]

use core::arch::global_asm;

unsafe extern "C" {
    // esp-hal's hooks: before memory is set up, and after.
    fn __pre_init();
    fn __post_init();
    fn main() -> !;
    // From xtensa-lx-rt: clears words from a2 to a3.
    fn _xtensa_lx_rt_zero_fill(from: *mut u32, to: *mut u32);

    static _bss_start: u32;
    static _bss_end: u32;
    static _init_start: u32;
    static _stack_start_cpu0: u32;
}

// In RAM, because the S3's flash cache is off until `__pre_init`. The bootloader has loaded `.data`.
global_asm!(
    "
    .pushsection .rwtext.tcpctl_start,\"ax\",@progbits
    .literal .Lstack, {stack}
    .literal .Lpre_init, {pre_init}
    .literal .Lzero_fill, {zero_fill}
    .literal .Lbss_start, {bss_start}
    .literal .Lbss_end, {bss_end}
    .literal .Lvectors, {vectors}
    .literal .Lpost_init, {post_init}
    .literal .Lmain, {main}

    .global tcpctl_start
    .p2align 2
    .type tcpctl_start,@function
tcpctl_start:
    entry  a1, 0x10             // 16 bytes to spill registers of call4
    movi   a0, 0                // a backtrace ends here
    wsr.intenable a0
    l32r   a2, .Lstack
    mov    sp, a2

    l32r   a2, .Lpre_init
    callx4 a2

    l32r   a6, .Lbss_start
    l32r   a7, .Lbss_end
    l32r   a2, .Lzero_fill
    callx4 a2
    memw

    // CCOMPARE is undefined after a reset (Xtensa ISA reference, 4.4.7.2).
    wsr.ccompare0 a0
    wsr.ccompare1 a0
    wsr.ccompare2 a0
    isync

    l32r   a2, .Lvectors
    wsr.vecbase a2

    l32r   a2, .Lpost_init
    callx4 a2

    l32r   a2, .Lmain
    callx4 a2
    .size tcpctl_start, . - tcpctl_start
    // Blocks that follow set no section of their own.
    .popsection
    ",
    stack = sym _stack_start_cpu0,
    pre_init = sym __pre_init,
    zero_fill = sym _xtensa_lx_rt_zero_fill,
    bss_start = sym _bss_start,
    bss_end = sym _bss_end,
    vectors = sym _init_start,
    post_init = sym __post_init,
    main = sym main,
);
