/* SPDX-License-Identifier: ISC */
#include "fetch.h"

#include <qrencode.h>

uint32_t
qr_encode(const char *text, struct buf *bits)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	int x, y, width;
	uint8_t byte = 0;

	if (!code)
		return 0;
	width = code->width;
	for (y = 0; y < width; y++) {
		for (x = 0; x < width; x++) {
			byte |= (code->data[y * width + x] & 1) << (7 - x % 8);
			if (x % 8 == 7 || x == width - 1) {
				buf_u8(bits, byte);
				byte = 0;
			}
		}
	}
	QRcode_free(code);
	return bits->bad ? 0 : (uint32_t)width;
}
