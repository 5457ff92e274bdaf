// What a Rust program's standard library needs: files, directories, maps with random keys, time, a panic.
use std::collections::HashMap;
use std::io::{Read, Write};
use std::{env, fs, io, thread, time};

fn main() -> io::Result<()> {
    let started = time::Instant::now();
    thread::sleep(time::Duration::from_secs(3600));
    let mut sizes: HashMap<String, u64> = HashMap::new();
    for entry in fs::read_dir("/inputs")? {
        let entry = entry?;
        sizes.insert(entry.file_name().into_string().unwrap(), entry.metadata()?.len());
    }
    let mut names: Vec<_> = sizes.iter().collect();
    names.sort();
    fs::create_dir_all("/outputs/a/b")?;
    fs::write("/outputs/a/b/sizes.txt", format!("{:?}", names))?;
    fs::rename("/outputs/a/b", "/outputs/a/c")?;
    fs::OpenOptions::new().append(true).open("/outputs/a/c/sizes.txt")?.write_all(b"\n")?;
    fs::write("/outputs/gone.txt", "x")?;
    fs::remove_file("/outputs/gone.txt")?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    println!("{} {} {}", env::args().nth(1).unwrap(), text, started.elapsed().as_secs());
    if fs::read("/inputs/../../etc/passwd").is_ok() {
        std::process::exit(9)
    }
    if env::args().nth(2).is_some() {
        panic!("as told")
    }
    Ok(())
}
