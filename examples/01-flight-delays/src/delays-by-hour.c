// Adds up flight delays by the hour of departure: reads every file below the directory argv[1], which hold JSON records such as
//   {"date":"2001/01/10 18:20","delay":25,"distance":192,"origin":"SAT","destination":"HOU"}
// and writes one table, `hour,flights,late,minutes`, to the file argv[2]. A flight is late from 15 minutes on, as the US Department of Transportation counts.
//
// Rebuild: clang-16 --target=wasm32-wasi --sysroot=/usr -O2 -Wl,--strip-all -o delays-by-hour.wasm src/delays-by-hour.c
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hour {
  long flights, late, minutes;
};

static struct hour hours[24];
static long total;

static char *read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(1);
  }
  size_t length = 0, capacity = 1 << 16, got;
  char *text = malloc(capacity);
  while (text && (got = fread(text + length, 1, capacity - length - 1, file)) > 0) {
    length += got;
    if (length + 1 == capacity) text = realloc(text, capacity *= 2);
  }
  if (!text) {
    fprintf(stderr, "%s does not fit into memory\n", path);
    exit(1);
  }
  fclose(file);
  text[length] = 0;
  return text;
}

static void add_records(const char *path) {
  char *text = read_file(path);
  for (char *at = text; (at = strstr(at, "\"date\":\"")); at++) {
    int hour, delay;
    if (sscanf(at, "\"date\":\"%*d/%*d/%*d %d:%*d\",\"delay\":%d", &hour, &delay) != 2 || hour < 0 || hour > 23) {
      fprintf(stderr, "%s: not a flight: %.80s\n", path, at);
      exit(1);
    }
    hours[hour].flights += 1;
    hours[hour].late += delay >= 15;
    hours[hour].minutes += delay;
    total += 1;
  }
  free(text);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: delays-by-hour DIRECTORY TABLE\n");
    return 2;
  }
  DIR *directory = opendir(argv[1]);
  if (!directory) {
    perror(argv[1]);
    return 1;
  }
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    add_records(path);
  }
  FILE *table = fopen(argv[2], "wb");
  if (!table) {
    perror(argv[2]);
    return 1;
  }
  fprintf(table, "hour,flights,late,minutes\n");
  for (int hour = 0; hour < 24; hour++) fprintf(table, "%d,%ld,%ld,%ld\n", hour, hours[hour].flights, hours[hour].late, hours[hour].minutes);
  if (fclose(table) != 0) {
    perror(argv[2]);
    return 1;
  }
  printf("%ld flights\n", total);
  return 0;
}
