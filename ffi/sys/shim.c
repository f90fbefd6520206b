#define _GNU_SOURCE
#include <rte_config.h>

#include <stdio.h>
#include <sys/types.h>

#include <rte_errno.h>
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

#include "shim.h"
/* Written by build.rs from src/bindings.rs: one _Static_assert for each size and
 * offset the committed bindings rely on. */
#include "layout_asserts.h"

int shim_errno(void) { return rte_errno; }
unsigned int shim_lcore_id(void) { return rte_lcore_id(); }

struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool) { return rte_pktmbuf_alloc(pool); }

void shim_pktmbuf_free(struct rte_mbuf *m) { rte_pktmbuf_free(m); }
int shim_pktmbuf_linearize(struct rte_mbuf *m) { return rte_pktmbuf_linearize(m); }

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **out, uint16_t n)
{
	return rte_eth_rx_burst(port, queue, out, n);
}

uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **in, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, in, n);
}

struct rte_flow *shim_steer_spi(uint16_t port, int v6, int udp, uint32_t value, uint32_t mask,
				uint16_t queue)
{
	const struct rte_flow_attr ingress = { .ingress = 1 };
	const struct rte_flow_item_udp to_4500 = { .hdr.dst_port = RTE_BE16(4500) };
	const struct rte_flow_item_udp whole_port = { .hdr.dst_port = RTE_BE16(0xffff) };
	const struct rte_flow_item_esp spi = { .hdr.spi = rte_cpu_to_be_32(value) };
	const struct rte_flow_item_esp bits = { .hdr.spi = rte_cpu_to_be_32(mask) };
	const struct rte_flow_action_queue to = { .index = queue };
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};
	struct rte_flow_item pattern[5] = { { .type = RTE_FLOW_ITEM_TYPE_ETH } };
	struct rte_flow_item *item = &pattern[1];
	struct rte_flow_error error = { 0 };

	*item++ = (struct rte_flow_item){
		.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4,
	};
	if (udp)
		*item++ = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &to_4500, .mask = &whole_port,
		};
	*item++ = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_ESP, .spec = &spi, .mask = &bits,
	};
	*item = (struct rte_flow_item){ .type = RTE_FLOW_ITEM_TYPE_END };
	if (rte_flow_validate(port, &ingress, pattern, actions, &error) != 0)
		return NULL;
	return rte_flow_create(port, &ingress, pattern, actions, &error);
}

int shim_steer_no_more(uint16_t port, struct rte_flow *rule)
{
	struct rte_flow_error error = { 0 };

	return rte_flow_destroy(port, rule, &error);
}

unsigned int shim_compiled_release(void) { return RTE_VER_YEAR * 100 + RTE_VER_MONTH; }

static void (*log_sink)(const char *, size_t);

static ssize_t log_write(void *cookie, const char *bytes, size_t length)
{
	(void)cookie;
	log_sink(bytes, length);
	return (ssize_t)length;
}

int shim_log_to(void (*sink)(const char *, size_t))
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream;

	log_sink = sink;
	stream = fopencookie(NULL, "w", io);
	if (stream == NULL)
		return -1;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	return rte_openlog_stream(stream);
}
