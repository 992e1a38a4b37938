//! Addresses of a compiled program with debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use tcpctl_greeter::backtrace::{Backtrace, ReturnAddress, calls};

use crate::common::loader::line::Line;
use crate::common::run;
use crate::processes::{Need, skipped};

/// A program with a function `reply` that is inlined into `serve`.
const SOURCE: &str = "#![no_std]
#![no_main]
use core::hint::black_box;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
#[no_mangle]
static SIZE: u32 = 7;
#[inline(always)]
fn reply(size: u32) -> u32 {
    black_box(size) + 1 // line 10
}
mod greeter {
    #[inline(never)]
    pub(crate) fn serve(size: u32) -> u32 {
        super::reply(size) // line 15
    }
}
#[no_mangle]
extern \"C\" fn _start() -> ! {
    loop {
        black_box(greeter::serve(black_box(SIZE)));
    }
}
";

const TARGET: &str = "riscv32imc-unknown-none-elf";

/// Compiles it for a chip, with the code at a chip's addresses. `None` if the target's libraries are not
/// installed. `name` keeps the files of tests apart.
fn program(name: &str) -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .ok()?;
    let libraries = String::from_utf8(libraries.stdout).ok()?;
    if !Path::new(libraries.trim_end()).is_dir() {
        assert!(!skipped(&[Need::Program(
            "the target riscv32imc-unknown-none-elf"
        )]));
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Locations contain the file name.
    let folder = folder.join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = folder.join("monitored.rs");
    let elf = folder.join("monitored.elf");
    std::fs::write(&source, SOURCE).unwrap();
    let built = Command::new(&rustc)
        .args(["--edition", "2021", "--target", TARGET, "-g", "-O"])
        .args([
            "-C",
            "panic=abort",
            "-C",
            "link-arg=--image-base=0x42000000",
        ])
        .args(["-C", "link-arg=-Ttext=0x42010000", "-o"])
        .args([&elf, &source])
        .status()
        .unwrap();
    assert!(built.success());
    Some(elf)
}

/// The address of a function in the ELF's symbol table.
fn address_of(elf: &Path, function: &str) -> u64 {
    use object::{Object, ObjectSymbol};

    let bytes = std::fs::read(elf).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = file.symbols().find(|symbol| {
        symbol
            .name()
            .is_ok_and(|name| format!("{:#}", rustc_demangle::demangle(name)).ends_with(function))
    });
    symbol.unwrap().address()
}

#[test]
fn backtrace_is_decoded_with_inlined_functions() {
    let Some(elf) = program("lines") else {
        return;
    };
    // The inlined code comes after the first instruction, which adjusts the stack pointer.
    let serve = address_of(&elf, "greeter::serve") + 4;
    let start = address_of(&elf, "_start");
    assert!(serve >> 24 == 0x42, "{serve:#x}");
    // esp-backtrace prints one address per line.
    let panic = format!(
        "panicked at src/main.rs:1:2:\r\nout of memory\r\nBacktrace:\r\n\r\n\
         {serve:#x}\r\n{start:#x}\r\n0x3fc80000\r\nready addr=192.168.1.1:3000\r\n"
    );
    let mut line = Line::open();
    let path = line.path.to_str().unwrap().to_owned();
    let elf_path = elf.to_str().unwrap();
    let wait = ["--elf", elf_path, "--until", "^ready", "--timeout", "20s"];
    let arguments = [&["monitor", "-v", "--port", &path][..], &wait].concat();
    line.write(panic.as_bytes());
    let ended = run(arguments.clone());
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in [
        "reply at ",
        "greeter::serve at ",
        "_start at ",
        "monitored.rs:15",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Without -v: one line for each address, with the innermost function.
    line.write(panic.as_bytes());
    let brief = arguments.iter().copied().filter(|it| *it != "-v");
    let text = String::from_utf8(run(brief).stdout).unwrap();
    let decoded: Vec<_> = text.lines().filter(|it| it.starts_with("   ")).collect();
    assert_eq!(decoded.len(), 2, "{text}");
    assert!(!decoded[0].contains("greeter::serve"), "{text}");
    assert!(decoded[1].contains("_start at "), "{text}");
    line.write(panic.as_bytes());
    let ended = run([&arguments[..], &["--json"]].concat());
    std::fs::remove_dir_all(elf.parent().unwrap()).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let objects = ended.objects();
    assert_eq!(objects[0]["event"], "panic");
    let explained: Vec<_> = objects
        .iter()
        .filter_map(|object| object["frames"].as_array())
        .collect();
    assert_eq!(explained.len(), 2, "{objects:?}");
    let decoded: Vec<_> = explained[0]
        .iter()
        .map(|frame| {
            (
                frame["function"].as_str().unwrap(),
                frame["location"].to_string(),
            )
        })
        .collect();
    for (function, place) in [("::reply", ".rs:10"), ("greeter::serve", ".rs:15")] {
        let is_decoded = decoded
            .iter()
            .any(|(name, at)| name.ends_with(function) && at.contains(place));
        assert!(is_decoded, "{function}: {decoded:?}");
    }
}

/// The firmware prints the return addresses of its stack in one line. All of them are decoded, the innermost
/// first.
#[test]
fn backtrace_of_a_chip_is_decoded_in_order() {
    let Some(elf) = program("chip") else {
        return;
    };
    let address = |function| u32::try_from(address_of(&elf, function)).unwrap();
    // Calls are a few bytes into their functions; a stack contains return addresses.
    let serve = address("greeter::serve") + 4;
    let start = address("_start") + 2;
    let stack = [
        7,
        serve + 2,
        // Data, and code outside the program.
        0x3fc8_0000,
        0x4205_0000,
        serve + 2,
        start + 2,
        0xffff_ffff,
        serve + 2,
    ];
    let code = [0x4201_0000..0x4202_0000, 0x4038_0000..0x4038_0100];
    let backtrace = Backtrace(calls(stack.into_iter(), ReturnAddress::RiscV, code)).to_string();
    assert_eq!(backtrace.matches(" 0x").count(), 3, "{backtrace}");
    let printed = format!(
        "\r\npanicking \"src/main.rs:1:2: out of luck\"\r\n{backtrace}\r\n\
         ready addr=192.168.1.1:3000\r\n"
    );

    let mut line = Line::open();
    let path = line.path.to_str().unwrap().to_owned();
    let elf_path = elf.to_str().unwrap();
    let wait = ["--elf", elf_path, "--until", "^ready", "--timeout", "20s"];
    let arguments = [&["monitor", "-v", "--port", &path][..], &wait].concat();
    line.write(printed.as_bytes());
    let ended = run(arguments.clone());
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // An inlined function precedes its caller.
    let reply = format!("{serve:#x} monitored::reply at ");
    let inner = format!("{serve:#x} monitored::greeter::serve at ");
    let outer = format!("{start:#x} _start at ");
    let mut rest = text.split_once(&backtrace).expect("the line itself").1;
    for explained in [&reply, &inner, &outer, &reply, &inner] {
        let found = rest.split_once(explained.as_str());
        rest = found.unwrap_or_else(|| panic!("{explained}: {text}")).1;
    }
    assert!(!rest.contains(" 0x4") && !rest.contains("_start"), "{text}");

    line.write(printed.as_bytes());
    let ended = run([&arguments[..], &["--json"]].concat());
    std::fs::remove_dir_all(elf.parent().unwrap()).unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let objects = ended.objects();
    let explained: Vec<_> = objects
        .iter()
        .filter_map(|object| object["frames"].as_array())
        .collect();
    let [frames] = explained[..] else {
        panic!("one line has addresses: {objects:?}");
    };
    let decoded: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                frame["address"].as_str().unwrap(),
                frame["function"].as_str().unwrap(),
            )
        })
        // Frames of the standard library depend on the compiler.
        .filter(|(_, function)| !function.starts_with("core::"))
        .collect();
    let [serve, start] = [serve, start].map(|address| format!("{address:#x}"));
    let [reply, inner] = ["monitored::reply", "monitored::greeter::serve"];
    assert_eq!(
        decoded,
        [
            (&*serve, reply),
            (&serve, inner),
            (&start, "_start"),
            (&serve, reply),
            (&serve, inner),
        ]
    );
}
