/* SQLite as one file of its own, so that its tokeniser can be called and nothing of it meets the library's copy. */
#define SQLITE_API static
#define SQLITE_OMIT_LOAD_EXTENSION 1
#include "sqlite3.c"

/* Length of the token at `text`, which ends with a zero byte; *is_blank: blanks and comments; *is_bad: no token. */
long gk_sqlite_token(const unsigned char *text, int *is_blank, int *is_bad) {
  int type = 0;
  long length = (long)sqlite3GetToken(text, &type);
  *is_blank = type == TK_SPACE;
  *is_bad = type == TK_ILLEGAL;
  return length;
}
