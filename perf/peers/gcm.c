// GCM libraries to compare with: intel-ipsec-mb (direct API) and OpenSSL (EVP).
//
// A program of its own, so that the crate that measures stays free of foreign calls. It speaks the line
// protocol of perf/src/compare/protocol.rs on stdin and stdout and makes its packets by the same rules, so
// that the tags of all libraries must be equal. Built by scripts/lib/build-peer.
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

enum { BURST = 64, TAG = 16 };

static IMB_MGR *mb;
static struct gcm_key_data *mb_keys;
static EVP_CIPHER_CTX **evp;
static uint8_t (*tags)[TAG], *work, *text;
static uint32_t *order;
static size_t keys, loaded, length, stride, at;
static int opening, bits;

static void die(const char *why) { printf("error %s\n", why); exit(1); }

// Large memory lies in huge pages where the kernel grants them, as everybody's does here.
static void *pages(size_t size) {
  size = (size + (2u << 20) - 1) & ~(size_t)((2u << 20) - 1);
  void *at = aligned_alloc(2u << 20, size);
  if (!at) die("out of memory");
  madvise(at, size, MADV_HUGEPAGE);
  memset(at, 0, size);
  return at;
}

static inline uint64_t now(void) { _mm_lfence(); uint64_t t = __rdtsc(); _mm_lfence(); return t; }

static uint64_t splitmix(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static void key_of(uint32_t index, uint8_t key[32]) {
  uint64_t state = index;
  for (int i = 0; i < 4; i++) { uint64_t word = splitmix(&state); memcpy(key + 8 * i, &word, 8); }
}

static void nonce_of(uint32_t index, uint8_t nonce[12]) {
  memset(nonce, 0xa5, 4);
  uint64_t counter = __builtin_bswap64((uint64_t)index + 1);
  memcpy(nonce + 4, &counter, 8);
}

static void aad_of(uint32_t index, uint8_t aad[8]) {
  uint32_t words[2] = {__builtin_bswap32(index), __builtin_bswap32(1)};
  memcpy(aad, words, 8);
}

static void mb_seal(uint32_t key, uint8_t *data, const uint8_t *nonce, const uint8_t *aad, uint8_t *tag) {
  struct gcm_context_data context;
  if (bits == 128) IMB_AES128_GCM_ENC(mb, mb_keys + key, &context, data, data, length, nonce, aad, 8, tag, TAG);
  else IMB_AES256_GCM_ENC(mb, mb_keys + key, &context, data, data, length, nonce, aad, 8, tag, TAG);
}

static int mb_open(uint32_t key, uint8_t *data, const uint8_t *nonce, const uint8_t *aad, const uint8_t *tag) {
  struct gcm_context_data context;
  uint8_t made[TAG];
  if (bits == 128) IMB_AES128_GCM_DEC(mb, mb_keys + key, &context, data, data, length, nonce, aad, 8, made, TAG);
  else IMB_AES256_GCM_DEC(mb, mb_keys + key, &context, data, data, length, nonce, aad, 8, made, TAG);
  return CRYPTO_memcmp(made, tag, TAG) == 0;
}

static void evp_seal(uint32_t key, uint8_t *data, const uint8_t *nonce, const uint8_t *aad, uint8_t *tag) {
  int done;
  EVP_EncryptInit_ex(evp[key], NULL, NULL, NULL, nonce);
  EVP_EncryptUpdate(evp[key], NULL, &done, aad, 8);
  EVP_EncryptUpdate(evp[key], data, &done, data, (int)length);
  EVP_EncryptFinal_ex(evp[key], data + done, &done);
  EVP_CIPHER_CTX_ctrl(evp[key], EVP_CTRL_AEAD_GET_TAG, TAG, tag);
}

static int evp_open(uint32_t key, uint8_t *data, const uint8_t *nonce, const uint8_t *aad, const uint8_t *tag) {
  int done;
  EVP_DecryptInit_ex(evp[key], NULL, NULL, NULL, nonce);
  EVP_DecryptUpdate(evp[key], NULL, &done, aad, 8);
  EVP_DecryptUpdate(evp[key], data, &done, data, (int)length);
  EVP_CIPHER_CTX_ctrl(evp[key], EVP_CTRL_AEAD_SET_TAG, TAG, (void *)tag);
  return EVP_DecryptFinal_ex(evp[key], data + done, &done) == 1;
}

struct library {
  const char *name;
  void (*seal)(uint32_t, uint8_t *, const uint8_t *, const uint8_t *, uint8_t *);
  int (*open)(uint32_t, uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *);
};
static const struct library libraries[] = {{"intel-ipsec-mb", mb_seal, mb_open}, {"openssl", evp_seal, evp_open}};

static void expand_keys(void) {
  mb_keys = pages(keys * sizeof *mb_keys);
  evp = calloc(keys, sizeof *evp);
  const EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, bits == 128 ? "AES-128-GCM" : "AES-256-GCM", NULL);
  for (uint32_t i = 0; i < keys; i++) {
    uint8_t key[32];
    key_of(i, key);
    if (bits == 128) IMB_AES128_GCM_PRE(mb, key, mb_keys + i); else IMB_AES256_GCM_PRE(mb, key, mb_keys + i);
    evp[i] = EVP_CIPHER_CTX_new();
    if (!evp[i]) die("out of memory");
    if (opening) EVP_DecryptInit_ex(evp[i], cipher, NULL, key, NULL); else EVP_EncryptInit_ex(evp[i], cipher, NULL, key, NULL);
  }
}

// The tag each packet has: of the text sealed, or (opening) of the text taken as ciphertext. For the latter
// the text is sealed twice: counter mode undoes itself, so the second time the text comes out.
static void make_tags(const struct library *library) {
  for (uint32_t i = 0; i < keys; i++) {
    uint8_t nonce[12], aad[8];
    nonce_of(i, nonce);
    aad_of(i, aad);
    memcpy(work, text, length);
    library->seal(i, work, nonce, aad, tags[i]);
    if (opening) library->seal(i, work, nonce, aad, tags[i]);
  }
}

static uint64_t digest(void) {
  uint64_t hash = 0xcbf29ce484222325ull;
  const uint8_t *bytes = tags[0];
  for (size_t i = 0; i < keys * TAG; i++) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
  return hash;
}

static void shuffle(void) {
  uint64_t state = 0x5eed;
  for (size_t i = 0; i < keys; i++) order[i] = (uint32_t)i;
  for (size_t i = keys; i-- > 1;) {
    size_t j = splitmix(&state) % (i + 1);
    uint32_t other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
}

static void load(void) {
  loaded = keys;
  stride = (length + TAG + 63) / 64 * 64;
  work = pages(BURST * stride);
  text = pages(length);
  tags = pages(keys * TAG);
  order = pages(keys * sizeof *order);
  for (size_t i = 0; i < length; i++) text[i] = (uint8_t)(i * 31 + 7);
  shuffle();
  expand_keys();
  // A context set up for opening does not seal, so ipsec-mb's tags serve both; OpenSSL must accept them.
  make_tags(libraries);
  uint64_t first = digest();
  if (!opening) make_tags(libraries + 1);
  printf("ok %016lx %016lx\n", first, digest());
}

static void unload(void) {
  for (size_t i = 0; i < loaded; i++) EVP_CIPHER_CTX_free(evp[i]);
  free(evp); free(mb_keys); free(work); free(text); free(tags); free(order);
  evp = NULL; mb_keys = NULL; work = text = NULL; tags = NULL; order = NULL;
}

// Cycles of one burst; the packets and their keys are the next of the order.
static uint64_t burst(const struct library *library) {
  uint32_t key[BURST];
  uint8_t nonce[BURST][12], aad[BURST][8], tag[BURST][TAG];
  for (int i = 0; i < BURST; i++) {
    key[i] = order[at];
    at = at + 1 < keys ? at + 1 : 0;
    nonce_of(key[i], nonce[i]);
    aad_of(key[i], aad[i]);
    memcpy(work + i * stride, text, length);
    memcpy(tag[i], tags[key[i]], TAG);
  }
  int good = 1;
  uint64_t start = now();
  if (opening) for (int i = 0; i < BURST; i++) good &= library->open(key[i], work + i * stride, nonce[i], aad[i], tag[i]);
  else for (int i = 0; i < BURST; i++) library->seal(key[i], work + i * stride, nonce[i], aad[i], tag[i]);
  uint64_t taken = now() - start;
  for (int i = 0; i < BURST && !opening; i++) good &= memcmp(tag[i], tags[key[i]], TAG) == 0;
  if (!good) die("a tag is wrong");
  return taken;
}

static int slower(const void *a, const void *b) {
  uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
  return (one > other) - (one < other);
}

// Mean of the bursts without the slowest sixteenth, which was interrupted.
static double undisturbed(uint64_t *bursts, size_t count) {
  double total = 0;
  qsort(bursts, count, sizeof *bursts, slower);
  count -= count / 16;
  for (size_t n = 0; n < count; n++) total += (double)bursts[n];
  return total / (double)count;
}

static void run(const char *name, size_t warm, size_t timed) {
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    if (strcmp(libraries[i].name, name)) continue;
    uint64_t *bursts = malloc((timed + 1) * sizeof *bursts);
    if (!bursts) die("out of memory");
    at = 0;
    for (size_t n = 0; n < warm; n++) burst(libraries + i);
    for (size_t n = 0; n < timed; n++) bursts[n] = burst(libraries + i);
    printf("%.3f\n", undisturbed(bursts, timed) / BURST);
    free(bursts);
    return;
  }
  die("no such library");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  mb = alloc_mb_mgr(0);
  if (!mb) die("no ipsec-mb manager");
  init_mb_mgr_auto(mb, NULL);
  printf("intel-ipsec-mb %s\nopenssl %s\n\n", imb_get_version_str(), OpenSSL_version(OPENSSL_VERSION_STRING));
  char line[256], word[64];
  while (fgets(line, sizeof line, stdin)) {
    size_t warm, timed;
    char what[8];
    if (sscanf(line, "load %7s %d %zu %zu", what, &bits, &length, &keys) == 4) {
      unload();
      opening = !strcmp(what, "open");
      load();
    } else if (sscanf(line, "run %63s %zu %zu", word, &warm, &timed) == 3) run(word, warm, timed);
    else die("not understood");
  }
  return 0;
}
