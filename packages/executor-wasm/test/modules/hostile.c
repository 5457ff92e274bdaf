// Calls WASI as no C library would. Each line of output is one attempt and its answer; the run must end by itself with 0.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int32_t raw_##name
WASI(fd_write)(int32_t, uint32_t, uint32_t, uint32_t);
WASI(fd_read)(int32_t, uint32_t, uint32_t, uint32_t);
WASI(fd_pread)(int32_t, uint32_t, uint32_t, int64_t, uint32_t);
WASI(fd_pwrite)(int32_t, uint32_t, uint32_t, int64_t, uint32_t);
WASI(fd_seek)(int32_t, int64_t, int32_t, uint32_t);
WASI(fd_readdir)(int32_t, uint32_t, uint32_t, int64_t, uint32_t);
WASI(fd_filestat_set_size)(int32_t, int64_t);
WASI(fd_allocate)(int32_t, int64_t, int64_t);
WASI(fd_renumber)(int32_t, int32_t);
WASI(fd_close)(int32_t);
WASI(fd_prestat_dir_name)(int32_t, uint32_t, uint32_t);
WASI(path_open)(int32_t, int32_t, uint32_t, uint32_t, int32_t, int64_t, int64_t, int32_t, uint32_t);
WASI(path_create_directory)(int32_t, uint32_t, uint32_t);
WASI(path_rename)(int32_t, uint32_t, uint32_t, int32_t, uint32_t, uint32_t);
WASI(path_remove_directory)(int32_t, uint32_t, uint32_t);
WASI(path_unlink_file)(int32_t, uint32_t, uint32_t);
WASI(poll_oneoff)(uint32_t, uint32_t, uint32_t, uint32_t);
WASI(random_get)(uint32_t, uint32_t);
WASI(args_get)(uint32_t, uint32_t);
WASI(clock_time_get)(int32_t, int64_t, uint32_t);
WASI(sock_recv)(int32_t, uint32_t, uint32_t, int32_t, uint32_t, uint32_t);

#define P(x) ((uint32_t)(uintptr_t)(x))
#define SAY(call) printf("%s %d\n", #call, call)
#define OUTPUTS 4
#define READ_WRITE 0x1fffffff

static uint32_t cell, fd;
static int32_t open_at(int directory, const char *path, int flags) { return raw_path_open(directory, 0, P(path), strlen(path), flags, READ_WRITE, READ_WRITE, 0, P(&fd)); }
static int32_t path(int32_t (*call)(int32_t, uint32_t, uint32_t), const char *name) { return call(OUTPUTS, P(name), strlen(name)); }
static char name[8192];

int main(void) {
  struct { uint32_t at, size; } vectors[2] = {{0xfffffff0u, 0x20}, {0, 0xffffffffu}};
  SAY(raw_fd_write(1, 0xfffffffc, 1, P(&cell)));
  SAY(raw_fd_write(1, P(vectors), 1, P(&cell)));
  SAY(raw_fd_write(1, P(&vectors[1]), 1, P(&cell)));
  SAY(raw_fd_write(1, P(vectors), 0xffffffff, P(&cell)));
  SAY(raw_fd_write(1, P(vectors), 0, 0xffffffff));
  SAY(raw_fd_write(-1, P(vectors), 0, P(&cell)));
  SAY(raw_fd_write(0, P(vectors), 0, P(&cell)));
  SAY(raw_fd_read(0, P(vectors), 1, P(&cell)));
  SAY(raw_fd_read(OUTPUTS, P(vectors), 0, P(&cell)));
  SAY(raw_random_get(0xffffff00, 0xffffff00));
  SAY(raw_args_get(0xfffffffc, 0));
  SAY(raw_clock_time_get(77, 0, P(&cell)));
  SAY(raw_clock_time_get(0, 0, 0xfffffffa));
  SAY(raw_poll_oneoff(P(name), P(name), 0, P(&cell)));
  SAY(raw_poll_oneoff(P(name), P(name), 0xffffffff, P(&cell)));
  SAY(raw_poll_oneoff(0xffffffd0, P(name), 1, P(&cell)));
  SAY(raw_sock_recv(1, 0, 0, 0, 0, 0));
  SAY(raw_sock_recv(99, 0, 0, 0, 0, 0));

  SAY(open_at(OUTPUTS, "file", 1));
  uint32_t file = fd;
  struct { uint32_t at, size; } one = {P("x"), 1};
  SAY(raw_fd_pwrite(file, P(&one), 1, -1, P(&cell)));
  SAY(raw_fd_pwrite(file, P(&one), 1, INT64_MAX, P(&cell)));
  SAY(raw_fd_pread(file, P(&one), 1, -1, P(&cell)));
  SAY(raw_fd_seek(file, -1, 0, P(&cell)));
  SAY(raw_fd_seek(file, INT64_MIN, 1, P(name)));
  SAY(raw_fd_seek(file, INT64_MAX, 0, P(name)));
  SAY(raw_fd_seek(file, 0, 9, P(name)));
  SAY(raw_fd_seek(1, 0, 1, P(name)));
  SAY(raw_fd_filestat_set_size(file, -1));
  SAY(raw_fd_filestat_set_size(file, INT64_MAX));
  SAY(raw_fd_allocate(file, -1, 1));
  SAY(raw_fd_allocate(file, INT64_MAX, INT64_MAX));
  SAY(raw_fd_readdir(OUTPUTS, P(name), 0xffffffff, 0, P(&cell)));
  SAY(raw_fd_readdir(OUTPUTS, P(name), 64, -1, P(&cell)));
  SAY(raw_fd_readdir(file, P(name), 64, 0, P(&cell)));
  SAY(raw_fd_renumber(file, 4096));
  SAY(raw_fd_renumber(0x7fffffff, file));
  SAY(raw_fd_prestat_dir_name(OUTPUTS, 0xfffffff0, 100));
  SAY(raw_fd_prestat_dir_name(OUTPUTS, P(name), 1));

  SAY(open_at(file, "x", 1));
  SAY(open_at(OUTPUTS, "", 1));
  SAY(open_at(OUTPUTS, "..", 0));
  SAY(open_at(OUTPUTS, "../outputs/file", 0));
  SAY(open_at(OUTPUTS, "../../../../../../etc/passwd", 0));
  SAY(open_at(OUTPUTS, "/etc/passwd", 0));
  SAY(open_at(OUTPUTS, "file/../../x", 1));
  SAY(open_at(OUTPUTS, "file/", 0));
  SAY(open_at(OUTPUTS, "file/.", 0));
  SAY(open_at(OUTPUTS, "new/", 1));
  SAY(open_at(OUTPUTS, "\xff\xfe", 1));
  SAY(raw_path_open(OUTPUTS, 0, P("a\0b"), 3, 1, READ_WRITE, READ_WRITE, 0, P(&fd)));
  SAY(raw_path_open(OUTPUTS, 0, 0xfffffff0, 100, 1, READ_WRITE, READ_WRITE, 0, P(&fd)));
  SAY(raw_path_open(OUTPUTS, 0, P("unanswerable"), 12, 1, READ_WRITE, READ_WRITE, 0, 0xfffffffe));
  SAY(open_at(OUTPUTS, "unanswerable", 0));
  memset(name, 'n', 300);
  SAY(path(raw_path_create_directory, name));
  memset(name, 'n', 8000);
  SAY(path(raw_path_create_directory, name));
  SAY(path(raw_path_remove_directory, "."));
  SAY(path(raw_path_remove_directory, "../outputs"));
  SAY(path(raw_path_unlink_file, "."));
  SAY(path(raw_path_create_directory, "dir"));
  SAY(raw_path_rename(OUTPUTS, P("dir"), 3, OUTPUTS, P("dir/inside"), 10));
  SAY(raw_path_rename(OUTPUTS, P("dir"), 3, 3, P("dir"), 3));
  SAY(raw_path_rename(OUTPUTS, P("dir"), 3, OUTPUTS, P("file"), 4));
  SAY(raw_path_rename(OUTPUTS, P("file"), 4, OUTPUTS, P("dir"), 3));
  SAY(raw_path_rename(OUTPUTS, P("file"), 4, OUTPUTS, P("."), 1));

  int32_t answer = 0;
  int opened = 0, depth = 0;
  while (opened < 100000 && (answer = open_at(OUTPUTS, "file", 0)) == 0) opened++;
  printf("opened some %d, then %d\n", opened > 100, answer);
  for (uint32_t each = file + 1; opened > 0; opened--) raw_fd_close(each++);
  uint32_t directory = OUTPUTS;
  while (depth < 10000 && (answer = raw_path_create_directory(directory, P("deeper"), 6)) == 0) {
    depth++;
    if (raw_path_open(directory, 0, P("deeper"), 6, 2, READ_WRITE, READ_WRITE, 0, P(&fd)) != 0) break;
    if (directory != OUTPUTS) raw_fd_close(directory);
    directory = fd;
  }
  printf("nested some %d, then %d\n", depth > 10, answer);
  return 0;
}
