/* C faces of the DPDK functions that exist only as `static inline`, and of the
 * few facts only a C compiler can tell; and of flow rules, whose patterns are nested
 * C structures. Everything else here is one call deep. */
#ifndef DPDK_SYS_SHIM_H
#define DPDK_SYS_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_flow;
struct rte_mbuf;
struct rte_mempool;

/* rte_errno of the calling thread. */
int shim_errno(void);
/* Number of this lcore, or LCORE_ID_ANY (UINT32_MAX) on a foreign thread. */
unsigned int shim_lcore_id(void);

struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool);
void shim_pktmbuf_free(struct rte_mbuf *m);
/* 0, or -1 when the first segment lacks the tailroom. */
int shim_pktmbuf_linearize(struct rte_mbuf *m);

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **out, uint16_t n);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **in, uint16_t n);

/* ESP packets whose SPI under `mask` is `value`, over IPv4 or IPv6, in UDP to port
 * 4500 or not, to one receive queue. The rule, or NULL and rte_errno when the driver
 * refuses. */
struct rte_flow *shim_steer_spi(uint16_t port, int v6, int udp, uint32_t value, uint32_t mask,
				uint16_t queue);
/* Ends a rule. 0, or a negative errno; the rule then stays. */
int shim_steer_no_more(uint16_t port, struct rte_flow *rule);

/* The DPDK release this file was compiled against: year * 100 + month. */
unsigned int shim_compiled_release(void);

/* Sends every DPDK log line to `sink` (bytes, not NUL-terminated) in place of
 * stdout and syslog. Returns 0, or -1 with errno. */
int shim_log_to(void (*sink)(const char *bytes, size_t length));

#endif
