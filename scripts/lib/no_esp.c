/* Loaded into libreswan's pluto, where it judges IKE on a kernel that may know no ESP.
 *
 * The commands that would install an ESP SA become netlink's NLMSG_NOOP, to which every kernel
 * answers "done". All else goes to the kernel as it is. No packet is ever carried by such an SA. */
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_netlink(int socket)
{
	struct sockaddr_nl name = { 0 };
	socklen_t size = sizeof name;
	return getsockname(socket, (struct sockaddr *)&name, &size) == 0 && name.nl_family == AF_NETLINK;
}

ssize_t write(int file, const void *bytes, size_t length)
{
	struct nlmsghdr *message = (struct nlmsghdr *)bytes;
	if (length >= sizeof *message && is_netlink(file) &&
	    (message->nlmsg_type == XFRM_MSG_NEWSA || message->nlmsg_type == XFRM_MSG_UPDSA))
		message->nlmsg_type = NLMSG_NOOP;
	return syscall(SYS_write, file, bytes, length);
}
