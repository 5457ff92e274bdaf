// The programs of the conformance suite, by the name in the first argument; see Programs in @skrei/executor/conformance.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (!file) { perror(path); exit(1); }
  fputs(text, file);
  fclose(file);
}

static int copy(FILE *from) {
  char buffer[4096];
  size_t count;
  if (!from) return 1;
  while ((count = fread(buffer, 1, sizeof buffer, from)) > 0) fwrite(buffer, 1, count, stdout);
  return 0;
}

static void ready(void) {
  printf("ready\n");
  fflush(stdout);
}

__attribute__((noinline)) static int deep(volatile int *depth) {
  volatile int here = ++*depth;
  return deep(depth) + here;
}

int main(int argc, char **argv) {
  const char *program = argc > 1 ? argv[1] : "hello";
#define IS(name) (strcmp(program, name) == 0)
  if (IS("hello")) printf("hello\n");
  else if (IS("exit7")) { fprintf(stderr, "oops\n"); return 7; }
  else if (IS("forever")) { ready(); for (volatile int i = 0;; i++) {} }
  else if (IS("sleeps")) { ready(); for (;;) sleep(3600); }
  else if (IS("beats")) {
    int file = open("/outputs/beat", O_CREAT | O_TRUNC | O_RDWR, 0644);
    if (file < 0) { perror("beat"); return 1; }
    ready();
    for (unsigned long beat = 0;; beat++) {
      char text[32];
      pwrite(file, text, snprintf(text, sizeof text, "%020lu", beat), 0);
    }
  }
  else if (IS("flood")) { for (int i = 0; i < 32768; i++) printf("sixteen bytes..\n"); }
  else if (IS("arguments")) { for (int i = 2; i < argc; i++) printf("%s\n", argv[i]); }
  else if (IS("environment")) printf("%s\n", getenv("GREETING"));
  else if (IS("stdin")) return copy(stdin);
  else if (IS("reads")) return copy(fopen("/inputs/letter.txt", "r"));
  else if (IS("tampers")) {
    int file = open("/inputs/letter.txt", O_RDONLY);
    write(file, "x", 1);
    ftruncate(file, 0);
    open("/inputs/letter.txt", O_RDWR | O_TRUNC);
    open("/inputs/new.txt", O_CREAT | O_RDWR, 0644);
    mkdir("/inputs/new", 0755);
    put("/outputs/mine.txt", "mine");
    rename("/outputs/mine.txt", "/inputs/letter.txt");
    rename("/inputs/letter.txt", "/outputs/letter.txt");
    link("/inputs/letter.txt", "/outputs/link.txt");
    unlink("/inputs/letter.txt");
    rmdir("/inputs");
  }
  else if (IS("writes")) {
    mkdir("/outputs/a", 0755);
    mkdir("/outputs/a/b", 0755);
    put("/outputs/greeting.txt", "hello\n");
    put("/outputs/a/b/deep.txt", "deep\n");
  }
  else if (IS("fills")) {
    static char block[65536];
    FILE *file = fopen("/outputs/large", "w");
    for (int i = 0; i < 32; i++) fwrite(block, 1, sizeof block, file);
    fclose(file);
  }
  else if (IS("unlinks")) {
    // Keeps what it deleted open: the bytes are still on the disk.
    static char block[65536];
    for (int i = 0; i < 32; i++) {
      char path[64];
      snprintf(path, sizeof path, "/outputs/%d", i);
      int file = open(path, O_CREAT | O_RDWR, 0644);
      write(file, block, sizeof block);
      unlink(path);
    }
  }
  else if (IS("sparse")) {
    int file = open("/outputs/sparse", O_CREAT | O_RDWR, 0644);
    pwrite(file, "x", 1, 1L << 30);
  }
  else if (IS("scatters")) {
    for (int i = 0; i < 64; i++) {
      char path[64];
      snprintf(path, sizeof path, "/outputs/%d.txt", i);
      put(path, "x");
    }
  }
  else if (IS("links")) {
    printf("link %d\n", symlink("/", "/outputs/link"));
    printf("relative %d\n", symlink("../../..", "/outputs/relative"));
    mkdir("/outputs/d", 0755);
    printf("self %d\n", symlink(".", "/outputs/d/self"));
    printf("nested %d\n", symlink("d/self/self/../../../..", "/outputs/nested"));
    printf("through %d\n", open("/outputs/link/tmp/written-by-wasm", O_CREAT | O_RDWR, 0644));
  }
  else if (IS("random")) {
    unsigned char bytes[16];
    struct timespec now;
    getentropy(bytes, sizeof bytes);
    for (int i = 0; i < 16; i++) printf("%02x", bytes[i]);
    clock_gettime(CLOCK_REALTIME, &now);
    printf(" %lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
    sleep(86400);
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf(" %lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
  }
  else if (IS("unreachable")) __builtin_trap();
  else if (IS("divides")) { volatile int one = 1, zero = 0; volatile int quotient = one / zero; return quotient; }
  else if (IS("reaches")) { volatile char *far = (char *)0x7ffffff0; return *far; }
  else if (IS("recurses")) { volatile int depth = 0; return deep(&depth); }
  else if (IS("allocates")) {
    size_t total = 0;
    for (volatile char *block; (block = malloc(1 << 20)); total++) *block = 1;
    printf("%zu\n", total);
  }
  else if (IS("lists")) {
    DIR *directory = opendir(argv[2]);
    if (!directory) { perror(argv[2]); return 1; }
    for (struct dirent *entry; (entry = readdir(directory));) if (entry->d_name[0] != '.') printf("%s%s\n", entry->d_name, entry->d_type == DT_DIR ? "/" : "");
  }
  else if (IS("reaches-out")) {
    for (int i = 2; i < argc; i++) {
      int file = open(argv[i], O_RDONLY);
      printf("%s %s\n", argv[i], file < 0 ? strerror(errno) : "opened");
    }
  }
  else { fprintf(stderr, "no program %s\n", program); return 2; }
  return 0;
}
